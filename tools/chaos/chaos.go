// Package chaos proves that the webhook loses no pod while certificates, replicas and manifests
// change. Eight clients create pods in the cluster of `make up` while events happen in it. Each
// client alternates a pod whose image must be mirrored and a pod that must be denied. Any other
// answer is a loss. The report counts the losses of each event. After faults that the webhook cannot
// prevent, such as the death of a node, creates may be lost for a limited time, which each event
// states. In the hybrid form, they may only be not mirrored: none may be refused. The package does not know the command line.
//
// Most pods are created as a dry run: the whole admission chain runs, and nothing is stored. The
// others are stored with a scheduling gate, so that no node runs them, and are deleted at once.
//
// Run and Soak leave the cluster as they found it, also after an interruption: they remove their
// namespaces and Jobs, and repair certificates that an event has left incomplete. If the process is
// killed, the next run removes what is left; `make install` restores the CronJob that Soak changes.
// Only one of them may use a cluster at a time, and the rest of the cluster should be idle: latencies
// also depend on the machine.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// Options configure the load and the renewals.
type Options struct {
	Rate   int           // creates per second and client, at most
	Store  int           // percentage of the pods that are stored
	Settle time.Duration // how long a renewal waits until the API servers use a new CA
}

// run is one call of Run or Soak.
type run struct {
	Options
	*cluster
	report  *progress.Reporter
	clients []*client
	hurry   bool        // whether the kubelets update volumes at once
	notes   []string    // of the running event
	faults  []time.Time // of the running event
}

// Run runs the events with these names, and returns what was lost. Without names, it runs all
// events, or the events for --short. It returns an incomplete report together with an error.
func Run(ctx context.Context, c *devcluster.Cluster, names []string, short bool, o Options, report *progress.Reporter) (*Report, error) {
	quiet := quietTime
	if short {
		quiet = shortQuietTime
	}
	return withRun(ctx, c, o, report, func(r *run, result *Report) error {
		nodes, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list the nodes: %w", err)
		}
		selected, err := selectEvents(len(nodes.Items), names, short, report)
		if err != nil {
			return err
		}
		r.hurry = short
		if len(names) == 0 && !short {
			result.Minimum = minCreates
		}
		return r.runEvents(ctx, selected, quiet, result)
	})
}

// minCreates is the number of creates that a complete run must have.
const minCreates = 10_000

// withRun calls task with what Run and Soak need, and removes it afterwards.
func withRun(ctx context.Context, c *devcluster.Cluster, o Options, report *progress.Reporter, task func(*run, *Report) error) (_ *Report, err error) {
	unlock, err := lock(c.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	connected, err := connect(ctx, c)
	if err != nil {
		return nil, err
	}
	release, err := connected.client.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("read the version of the cluster: %w", err)
	}
	r := &run{Options: o, cluster: connected, report: report}
	if err := r.removeLeftovers(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.cleanUp(ctx)) }()
	if r.clients, err = r.newClients(ctx); err != nil {
		return nil, err
	}
	result := &Report{Options: o, Release: release.GitVersion, Hybrid: r.hybrid, CPUs: runtime.NumCPU(), Date: time.Now().UTC().Format(time.DateOnly)}
	return result, task(r, result)
}

// lock prevents two runs on the same cluster: they would delete the namespaces of each other.
func lock(name string) (unlock func(), err error) {
	dir, err := workspace.CacheDir("chaos", name)
	if err != nil {
		return nil, err
	}
	unlock, err = workspace.TryLock(dir)
	if errors.Is(err, workspace.ErrLocked) {
		err = fmt.Errorf("cluster %q is in use by another run: wait until it ends", name)
	}
	return unlock, err
}

// cleanUp removes the objects of this run, also after an interruption.
func (r *run) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpLimit)
	defer cancel()
	return r.removeLeftovers(ctx)
}

// cleanUpLimit is the time limit of a cleanup.
const cleanUpLimit = time.Minute
