// Package loadtest compares the webhook with other HTTP servers that have the same job, on this
// machine. It does not know the command line.
//
// The servers are processes on one CPU, and the client is on the others. The client speaks
// HTTP/1.1 over kept-alive TLS connections like the API server, and sends recorded reviews. The
// servers take turns in short rounds, so that a change of the machine's speed affects all of them;
// a figure is the median of the rounds. Before the first round, the client checks the answer of
// each server to each review. A wrong answer or a status other than 200 fails the run.
//
// All server processes end when this process ends, even if it is killed.
package loadtest

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// Options configure a run.
type Options struct {
	Root        string        `json:"-"` // the top of the checkout
	Self        string        `json:"-"` // the program that runs Serve as its verb `serve`
	Contenders  []string      // names; empty: all
	Reviews     []string      // names; empty: all of package loadtest
	Duration    time.Duration // how long each load lasts, per contender, path, review and round
	Rounds      int
	Connections int
	Rate        int           // requests per second of the load with a fixed rate
	Settle      time.Duration // after how long the memory after a load is read
}

// Run measures the contenders, and then returns all figures.
func Run(ctx context.Context, o Options, report *progress.Reporter) (*Result, error) {
	dir, err := os.MkdirTemp("", "image-webhook-loadtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r, err := newRun(ctx, o, dir, report)
	if err != nil {
		return nil, err
	}
	if err := r.build(ctx); err != nil {
		return nil, err
	}
	release, err := r.cpus.pinClient()
	if err != nil {
		return nil, err
	}
	defer release()
	return r.measure(ctx)
}

// run is a running comparison.
type run struct {
	Options
	dir         string // for temporary files
	report      *progress.Reporter
	contenders  []contender
	reviews     []review
	certificate certificate
	cpus        placement
	idle        *serverProcess // after the load of measureFootprint; nil: none
	loaded      time.Time      // end of that load
	result      *Result
}

func newRun(ctx context.Context, o Options, dir string, report *progress.Reporter) (r *run, err error) {
	r = &run{Options: o, dir: dir, report: report}
	if r.contenders, err = chooseContenders(o.Contenders); err != nil {
		return nil, err
	}
	if r.reviews, err = readReviews(o.Root, o.Reviews); err != nil {
		return nil, err
	}
	if r.certificate, err = newCertificate(dir); err != nil {
		return nil, err
	}
	if r.cpus, err = newPlacement(); err != nil {
		return nil, err
	}
	r.result = &Result{Options: o, Machine: readMachine(r.cpus)}
	return r, ctx.Err()
}

// measure runs all phases. The memory of the first phase settles during the others.
func (r *run) measure(ctx context.Context) (result *Result, err error) {
	defer func() { err = errors.Join(err, r.stopIdle()) }()
	for _, phase := range []struct {
		name string
		run  func(context.Context, *progress.Step) error
	}{
		{"measure the start and the memory of " + Webhook, r.measureFootprint},
		{"send reviews to the servers in turns", r.measureRounds},
		{"count allocations", r.measureAllocations},
		{"wait until the memory has settled", r.measureSettled},
	} {
		if err := r.report.Step(phase.name, func(step *progress.Step) error { return phase.run(ctx, step) }); err != nil {
			return nil, err
		}
	}
	return r.result, nil
}
