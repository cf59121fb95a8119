package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/image-webhook/image-webhook/tools/cluster/devcluster"
	"github.com/image-webhook/image-webhook/tools/e2e/summary"
)

// conclude writes the summary, and leaves the cluster as the next person wants to find
// it. It returns failed, or what is worse.
func (r *run) conclude(ctx context.Context, on target, failed error) error {
	s, err := r.summarize()
	if err != nil {
		return errors.Join(failed, err)
	}
	fmt.Fprintln(r.stdout)
	s.Print(r.stdout)
	switch {
	case on.Cluster == "":
	case failed != nil:
		r.collectLogs(on)
		r.wayIn(s, on)
	case on.created && !r.keep && !r.debug && ctx.Err() == nil:
		return r.down(on)
	case on.created:
		r.report.Note("The cluster is kept: `make status` shows it, `make down` deletes it.")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
}

// summarize reads Ginkgo's report and writes the page about it.
func (r *run) summarize() (summary.Summary, error) {
	s, err := summary.Read(r.artifacts("e2e.json"))
	if err != nil {
		return s, fmt.Errorf("the suite ended without a report: %w", err)
	}
	s.Phases = r.phases
	page, err := os.Create(r.artifacts("summary.md"))
	if err != nil {
		return s, err
	}
	return s, errors.Join(s.WriteMarkdown(page), page.Close())
}

// down deletes the cluster, also if the run is interrupted now.
func (r *run) down(on target) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := devcluster.Open(ctx, on.Cluster, r.report)
	if err != nil {
		return err
	}
	return c.Down(ctx)
}

// collectLogs keeps the logs of the nodes. It is best effort: the verdict stands, and a
// node image may lack one of the tools that kind asks.
func (r *run) collectLogs(on target) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := devcluster.Open(ctx, on.Cluster, r.report)
	if err == nil {
		err = c.CollectLogs(ctx, r.artifacts("nodes"))
	}
	if found, _ := os.ReadDir(r.artifacts("nodes")); err != nil && len(found) == 0 {
		r.report.Note("The logs of the nodes could not be kept: %v", err)
	}
}

// wayIn says how to get at the cluster of a failed run.
func (r *run) wayIn(s summary.Summary, on target) {
	name := ""
	if on.Cluster != devcluster.DefaultName {
		name = " --name=" + on.Cluster
	}
	r.report.Note("\nThe cluster is left as it is. To look at it:\n")
	r.report.Note("    eval \"$(bin/cluster env%s)\"      # points kubectl at it", name)
	for _, namespace := range s.Kept() {
		r.report.Note("    kubectl get pods,events -n %s  # of the failed spec", namespace)
	}
	r.report.Note("    kubectl get all -n image-webhook")
	if focus := s.Focus(); focus != "" {
		r.report.Note("    make e2e FOCUS='%s'  # once more", focus)
	}
	r.report.Note("    make down                          # when done")
}
