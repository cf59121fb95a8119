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

// conclude writes the summary, and deletes or keeps the cluster. It returns failed, the error of
// the specs, joined with its own.
func (r *run) conclude(ctx context.Context, cluster target, failed error) error {
	_ = os.RemoveAll(r.temporary())
	s, err := r.summarize()
	if err != nil {
		r.report.Note("No summary: %v", err) // Ginkgo was killed, or could not start the suite
	} else {
		fmt.Fprintln(r.stdout)
		s.Print(r.stdout)
	}
	if err == nil && s.Empty() {
		failed = r.noMatch(cluster)
	}
	if cluster.kind != nil {
		failed = errors.Join(failed, r.deleteOrKeep(ctx, s, cluster, failed))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
}

// errNoMatch is the error of a run in which no spec matched.
var errNoMatch = errors.New("no spec matches")

func (r *run) noMatch(cluster target) error {
	excluded := ""
	if cluster.kind == nil {
		excluded = " (specs with label dev-cluster do not run on this cluster)"
	}
	return fmt.Errorf("%w --focus=%q and --label-filter=%q%s", errNoMatch, r.Focus, r.Labels, excluded)
}

// deleteOrKeep deletes the kind cluster, or prints how to use it after a failure.
func (r *run) deleteOrKeep(ctx context.Context, s summary.Summary, cluster target, failed error) error {
	unused := errors.Is(failed, errNoMatch)
	switch {
	case failed != nil && !unused && ctx.Err() == nil:
		r.collectLogs(cluster)
		r.printNextCommands(s)
	case cluster.created && !r.Keep && (unused || !r.Debug && ctx.Err() == nil):
		return cluster.kind.Down(ctx)
	case cluster.created:
		r.report.Note("The cluster is kept: `%s` shows its state, `%s` deletes it.", r.clusterCommand("status"), r.clusterCommand("down"))
	}
	return nil
}

// clusterCommand returns the command line for a verb of bin/cluster.
func (r *run) clusterCommand(verb string) string {
	if r.Name == devcluster.DefaultName {
		return "bin/cluster " + verb
	}
	return "bin/cluster " + verb + " --name=" + r.Name
}

// summarize reads Ginkgo's report and writes the summary page.
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

// collectLogs writes the logs of the nodes to the artifacts. It is best effort, because a node
// image may lack one of the programs that kind calls.
func (r *run) collectLogs(cluster target) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := cluster.kind.CollectLogs(ctx, r.artifacts("nodes"))
	if found, _ := os.ReadDir(r.artifacts("nodes")); err != nil && len(found) == 0 {
		r.report.Note("Cannot collect the logs of the nodes: %v", err)
	}
}

// printNextCommands prints the commands to inspect the cluster after a failure.
func (r *run) printNextCommands(s summary.Summary) {
	var lines strings.Builder
	table := tabwriter.NewWriter(&lines, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "    eval \"$(%s)\"\t# point kubectl at the cluster\n", r.clusterCommand("env"))
	for _, namespace := range s.KeptNamespaces() {
		fmt.Fprintf(table, "    kubectl get pods,events -n %s\t# pods of the failed spec\n", namespace)
	}
	fmt.Fprintf(table, "    kubectl get all -n image-webhook\t# the webhook\n")
	if focus := s.Focus(); focus != "" {
		fmt.Fprintf(table, "    %s\t# run the spec again\n", r.rerunCommand(focus))
	}
	fmt.Fprintf(table, "    %s\t# delete the cluster\n", r.clusterCommand("down"))
	table.Flush()
	r.report.Note("\nThe cluster is kept. To inspect it:\n\n%s", lines.String())
}

// rerunCommand returns the command line that runs the specs of a focus again.
func (r *run) rerunCommand(focus string) string {
	if r.Name == devcluster.DefaultName {
		return "make e2e FOCUS='" + focus + "'"
	}
	return "bin/e2e --name=" + r.Name + " --focus='" + focus + "'"
}
