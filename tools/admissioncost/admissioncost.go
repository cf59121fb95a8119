// Package admissioncost measures what the forms of an installation add to the creation of a pod in a
// real API server: the webhooks, the hybrid form, the policies of `kubectl image-webhook policy` as objects
// and as static files, all with the same results, and the plugin ImagePolicyWebhook, which does not mirror.
// It does not know the command line.
//
// It creates pods as a dry run, so that the whole admission chain runs and nothing is stored. Each
// arm of the comparison has its own namespace in the mode off: in none, nothing applies, and for each
// other arm, webhooks or policies are registered for its namespace only. Requests of the arms alternate,
// so that a change of the machine's speed affects all arms.
//
// The arm static needs an API server with static files whose directory is beside the kubeconfig, as
// `make controlplane STATIC=1` and `make up STATIC=1` start it. Run adds a file of its own to the
// directories, and leaves the files that are there in force.
//
// The plugin cannot be limited to a namespace: it checks the pods of all arms. The API server caches the
// answers for the same images in a namespace, so all arms pay for a hit in the cache, also none. In the
// arm plugin, each pod has another image, so that the API server calls the webhook.
//
// Run needs a cluster in which the webhook is installed with the mirrors of
// deploy/04-webhook.yaml. It refuses a cluster that neither kind nor `bin/controlplane` created,
// unless the variable ANY_CLUSTER is 1. It removes everything that it creates, also after an
// interruption, and removes first what a killed run has left behind: this applies to no namespace
// but those of the killed run. Only one Run may measure a cluster at a time.
package admissioncost

import (
	"context"
	"fmt"
	"runtime"
	"slices"
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
	AllArms    bool          // return an error if an arm is missing that the cluster could have
}

// Run measures a cluster.
func Run(ctx context.Context, o Options, report *progress.Reporter) (*Result, error) {
	c, err := connect(ctx, o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	report.Note("Using cluster %q and the webhook installed in it.", c.host)
	if err := c.reportLeftOut(o, report); err != nil {
		return nil, err
	}
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

// reportLeftOut reports the arms that the cluster does not have.
func (c *cluster) reportLeftOut(o Options, report *progress.Reporter) error {
	startable, impossible := c.leftOut()
	if len(startable) > 0 && o.AllArms {
		return fmt.Errorf("measure all arms: %s", startable[0])
	}
	for _, reason := range slices.Concat(startable, impossible) {
		report.Note("Note: %s.", reason)
	}
	return nil
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
