// Package admissioncost measures what the forms of an installation add to the creation of a pod in a
// real API server: the webhooks, the policies of `kubectl image-webhook policy`, which have the same
// results, and the hybrid form. It does not know the command line.
//
// It creates pods as a dry run, so that the whole admission chain runs and nothing is stored. Each
// arm of the comparison has its own namespace: none, in which nothing applies, webhook, hybrid and
// policies.
// Requests of the arms alternate, so that a change of the machine's speed affects all arms.
//
// Run needs a cluster in which the webhook is installed with the mirrors of
// deploy/04-webhook.yaml. It refuses a cluster that neither kind nor `bin/controlplane` created,
// unless the variable ANY_CLUSTER is 1. It removes everything that it creates, also after an
// interruption, and removes first what a killed run has left behind. Only one Run may measure a
// cluster at a time.
package admissioncost

import (
	"context"
	"runtime"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// Options configure a measurement.
type Options struct {
	Kubeconfig string        // empty: the variable KUBECONFIG, or kubectl's default
	Iterations int           // creates per arm, one at a time
	Clients    int           // number of concurrent clients
	Load       time.Duration // how long the clients create pods, per arm
	Profile    time.Duration // how long the API server is profiled, per arm; 0: not at all
}

// Run measures a cluster.
func Run(ctx context.Context, o Options, report *progress.Reporter) (*Result, error) {
	c, err := connect(ctx, o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	report.Note("Using cluster %q and the webhook installed in it.", c.host)
	var result *Result
	err = c.withArms(ctx, report, func(arms []*arm) error {
		result, err = c.measure(ctx, arms, o, report)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// measure runs all phases.
func (c *cluster) measure(ctx context.Context, arms []*arm, o Options, report *progress.Reporter) (*Result, error) {
	r := &Result{
		Options: o, Bare: c.bare, Release: c.release, BodySize: len(arms[0].body),
		CPUs: runtime.NumCPU(), Date: time.Now().UTC().Format(time.DateOnly),
	}
	for _, a := range arms {
		r.Arms = append(r.Arms, a.name)
	}
	err := report.Step("create pods one at a time", func(step *progress.Step) (err error) {
		r.Sequential, err = c.measureSequential(ctx, arms, o, step)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = report.Step("read the metrics of the admission", func(step *progress.Step) (err error) {
		r.Parts, err = c.measureParts(ctx, arms, o, step)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = report.Step("create pods concurrently", func(step *progress.Step) (err error) {
		r.Concurrent, err = c.measureConcurrent(ctx, arms, o, step)
		return err
	})
	if err != nil || o.Profile == 0 {
		return r, err
	}
	return r, report.Step("profile the API server", func(step *progress.Step) (err error) {
		r.Profiles, err = c.measureProfiles(ctx, arms, o, step)
		return err
	})
}
