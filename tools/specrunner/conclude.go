package specrunner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/specrunner/summary"
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
	if err == nil && s.Empty() {
		failed = r.nothing(on)
	}
	if on.ours != nil {
		failed = errors.Join(failed, r.leave(ctx, s, on, failed))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
}

// errNothing ends a run in which no spec was to be run.
var errNothing = errors.New("no spec matches")

func (r *run) nothing(on target) error {
	others := ""
	if on.ours == nil {
		others = ", of those without the label dev-cluster"
	}
	return fmt.Errorf("%w --focus=%q and --label-filter=%q%s", errNothing, r.Focus, r.Labels, others)
}

// leave deletes our own cluster if nobody wants it, or says how to get at it.
func (r *run) leave(ctx context.Context, s summary.Summary, on target, failed error) error {
	nothing := errors.Is(failed, errNothing)
	switch {
	case failed != nil && !nothing && ctx.Err() == nil:
		r.collectLogs(on)
		r.wayIn(s)
	case on.created && !r.Keep && (nothing || !r.Debug && ctx.Err() == nil):
		return on.ours.Down(ctx)
	case on.created:
		r.report.Note("The cluster is kept: `%s` shows it, `%s` deletes it.", r.cluster("status"), r.cluster("down"))
	}
	return nil
}

// cluster is how a person types a verb of the command cluster.
func (r *run) cluster(verb string) string {
	if r.Name == devcluster.DefaultName {
		return "bin/cluster " + verb
	}
	return "bin/cluster " + verb + " --name=" + r.Name
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
	var lines strings.Builder
	table := tabwriter.NewWriter(&lines, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "    eval \"$(%s)\"\t# points kubectl at it\n", r.cluster("env"))
	for _, namespace := range s.Kept() {
		fmt.Fprintf(table, "    kubectl get pods,events -n %s\t# of the failed spec\n", namespace)
	}
	fmt.Fprintf(table, "    kubectl get all -n image-webhook\t# the webhook\n")
	if focus := s.Focus(); focus != "" {
		fmt.Fprintf(table, "    %s\t# once more\n", r.again(focus))
	}
	fmt.Fprintf(table, "    %s\t# when done\n", r.cluster("down"))
	table.Flush()
	r.report.Note("\nThe cluster is left as it is. To look at it:\n\n%s", lines.String())
}

// again is how a person runs some specs again.
func (r *run) again(focus string) string {
	if r.Name == devcluster.DefaultName {
		return "make e2e FOCUS='" + focus + "'"
	}
	return "bin/e2e --name=" + r.Name + " --focus='" + focus + "'"
}
