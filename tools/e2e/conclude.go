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
	_ = os.RemoveAll(r.temporary())
	s, err := r.summarize()
	if err != nil {
		r.report.Note("There is no summary: %v", err) // the suite was killed, or could not begin
	} else {
		fmt.Fprintln(r.stdout)
		s.Print(r.stdout)
	}
	if on.ours != nil {
		failed = errors.Join(failed, r.leave(ctx, s, on, failed))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
}

// leave deletes our own cluster if nobody wants it, or says how to get at it.
func (r *run) leave(ctx context.Context, s summary.Summary, on target, failed error) error {
	switch {
	case failed != nil:
		r.collectLogs(on)
		r.wayIn(s)
	case on.created && !r.keep && !r.debug && ctx.Err() == nil:
		return on.ours.Down(ctx)
	case on.created:
		r.report.Note("The cluster is kept: `%s` shows it, `%s` deletes it.", r.cluster("status"), r.cluster("down"))
	}
	return nil
}

// cluster is how a person types a verb of the command cluster.
func (r *run) cluster(verb string) string {
	if r.name == devcluster.DefaultName {
		return "bin/cluster " + verb
	}
	return "bin/cluster " + verb + " --name=" + r.name
}

// summarize reads Ginkgo's report and writes the page about it.
func (r *run) summarize() (summary.Summary, error) {
	s, err := summary.Read(r.artifacts("e2e.json"))
	if err != nil {
		return s, fmt.Errorf("read Ginkgo's report: %w", err)
	}
	s.Phases = r.phases
	page, err := os.Create(r.artifacts("summary.md"))
	if err != nil {
		return s, err
	}
	return s, errors.Join(s.WriteMarkdown(page), page.Close())
}

// collectLogs keeps the logs of the nodes. It is best effort: the verdict stands, and a
// node image may lack one of the tools that kind asks.
func (r *run) collectLogs(on target) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := on.ours.CollectLogs(ctx, r.artifacts("nodes"))
	if found, _ := os.ReadDir(r.artifacts("nodes")); err != nil && len(found) == 0 {
		r.report.Note("The logs of the nodes could not be kept: %v", err)
	}
}

// wayIn says how to get at the cluster of a failed run.
func (r *run) wayIn(s summary.Summary) {
	r.report.Note("\nThe cluster is left as it is. To look at it:\n")
	r.report.Note("    eval \"$(%s)\"    # points kubectl at it", r.cluster("env"))
	for _, namespace := range s.Kept() {
		r.report.Note("    kubectl get pods,events -n %s    # of the failed spec", namespace)
	}
	r.report.Note("    kubectl get all -n image-webhook")
	if focus := s.Focus(); focus != "" {
		r.report.Note("    %s    # once more", r.again(focus))
	}
	r.report.Note("    %s    # when done", r.cluster("down"))
}

// again is how a person runs some specs again.
func (r *run) again(focus string) string {
	if r.name == devcluster.DefaultName {
		return "make e2e FOCUS='" + focus + "'"
	}
	return "bin/e2e --name=" + r.name + " --focus='" + focus + "'"
}
