package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/specrunner/reviewlog"
	"github.com/image-webhook/image-webhook/tools/specrunner/summary"
)

// When a spec fails, what the cluster says about it is shown in its report, and all of
// that is kept in a folder of its own below artifacts. Everything here is best effort:
// it must never hide the failure that it is to explain.

// What the running spec has done so far.
var (
	namespacesOfSpec []string // that it has made
	transcript       commands // of kubectl
)

var _ = BeforeEach(func() { namespacesOfSpec, transcript = nil, nil })

// Before any cleanup: afterwards there is nothing left to look at.
var _ = JustAfterEach(func(ctx SpecContext) {
	if report := CurrentSpecReport(); report.Failed() {
		diagnose(ctx, report)
	}
}, NodeTimeout(time.Minute))

const (
	logLines     = 40 // of a container that is not ready
	shownReviews = 3  // in the report; the folder has all
)

// diagnose writes the folder, and adds the essence of it to the report.
func diagnose(ctx context.Context, spec SpecReport) {
	folder := folderName(spec.FullText())
	keep := keeper(filepath.Join("..", "artifacts", folder))
	served := servedSince(ctx, spec.StartTime)
	asked := namespacesOfSpec
	if len(asked) == 0 {
		asked = []string{dryRuns}
	}
	given, log := reviewlog.In(served, asked), reviewlog.About(served, asked)
	keep.text("webhook.log", strings.Join(log, "\n")) // not what others were answered
	for i, each := range given {
		keep.text(fmt.Sprintf("review-%02d%s.json", i+1, strings.ReplaceAll(each.Path, "/", "-")), each.JSON())
	}
	namespaces := append(slices.Clone(namespacesOfSpec), own, mirror.Namespace)
	for _, namespace := range namespaces {
		keep.kubectl(ctx, namespace+"-objects.yaml", "get", "all", "-o", "yaml", "-n", namespace)
		keep.kubectl(ctx, namespace+"-events.txt", "get", "events", "--sort-by=.lastTimestamp", "-n", namespace)
	}
	if len(transcript) > 0 {
		keep.text("kubectl.txt", transcript.String())
		AddReportEntry("what kubectl said", transcript.String(), ReportEntryVisibilityFailureOrVerbose)
	}
	AddReportEntry(summary.Diagnosis, essence(ctx, namespaces, given, log), ReportEntryVisibilityFailureOrVerbose)
	AddReportEntry(summary.Folder, folder, ReportEntryVisibilityNever)
}

// commands are those of kubectl that a spec has run.
type commands []ran

type ran struct {
	args  string
	said  said
	times int // in a row
}

// add takes what was polled as one command.
func (c *commands) add(args string, result said) {
	if n := len(*c); n > 0 && (*c)[n-1].args == args {
		(*c)[n-1].said = result
		(*c)[n-1].times++
		return
	}
	*c = append(*c, ran{args, result, 1})
}

// String shows them as a terminal does.
func (c commands) String() string {
	var out strings.Builder
	for _, each := range c {
		fmt.Fprintf(&out, "$ kubectl %s\n", each.args)
		if each.times > 1 {
			fmt.Fprintf(&out, "(%d times in a row; at last:)\n", each.times)
		}
		out.WriteString(each.said.Stdout + each.said.Stderr)
		if each.said.Exit != 0 {
			fmt.Fprintf(&out, "(exit code %d)\n", each.said.Exit)
		}
	}
	return strings.TrimRight(out.String(), "\n")
}

// folderName is the text of a spec as the name of a folder.
func folderName(text string) string {
	name := strings.Trim(regexp.MustCompile(`[^a-zA-Z0-9]+`).ReplaceAllString(text, "-"), "-")
	return name[:min(len(name), 150)]
}

// essence is what a person looks at first.
func essence(ctx context.Context, namespaces []string, given []reviewlog.Answer, log []string) string {
	var out strings.Builder
	for _, namespace := range namespaces {
		what := "Pod"
		if !slices.Contains(namespacesOfSpec, namespace) {
			what = "Elsewhere, pod"
		}
		explainPods(ctx, &out, what, namespace)
	}
	if len(given) == 0 {
		fmt.Fprintln(&out, "The webhook was asked about nothing in the namespaces of the spec, or logs no reviews.")
	}
	for _, each := range given[max(0, len(given)-shownReviews):] {
		fmt.Fprintln(&out, each)
	}
	if len(log) > 0 {
		fmt.Fprintln(&out, "The webhook's log, from the beginning of the spec on:")
	}
	for _, line := range log {
		fmt.Fprintln(&out, "  "+line)
	}
	return strings.TrimRight(out.String(), "\n")
}

// explainPods says of each pod that is not ready why, and what its containers said last.
func explainPods(ctx context.Context, out *strings.Builder, what, namespace string) {
	var pods corev1.PodList
	if err := client.Resources(namespace).List(ctx, &pods); err != nil {
		fmt.Fprintf(out, "The pods of %s cannot be listed: %v\n", namespace, err)
		return
	}
	for _, pod := range pods.Items {
		why := probe.NotReady(pod)
		if why == "" {
			continue
		}
		fmt.Fprintf(out, "%s %s/%s is not ready: %s\n", what, namespace, pod.Name, why)
		events := execKubectl(ctx, "", "get", "events", "-n", namespace, "--field-selector=type=Warning,involvedObject.name="+pod.Name,
			"-o", `jsonpath={range .items[*]}  {.reason}: {.message}{"\n"}{end}`)
		out.WriteString(events.Stdout)
		log := execKubectl(ctx, "", "logs", pod.Name, "-n", namespace, "--all-containers", "--prefix", "--tail="+strconv.Itoa(logLines))
		for line := range strings.Lines(log.Stdout) {
			out.WriteString("  " + line)
		}
	}
}

// servedSince are the lines of all servers' logs since a moment, in the order of time:
// of those that are there, and of those that the run has followed, which may be gone.
func servedSince(ctx context.Context, moment time.Time) (lines []string) {
	current := execKubectl(ctx, "", "logs", "-n", own, "-l", "app.kubernetes.io/component=webhook", "--tail=-1", "--since-time="+moment.UTC().Format(time.RFC3339))
	logs := []string{current.Stdout}
	followed, _ := filepath.Glob(filepath.Join("..", "artifacts", summary.ServerLogs, "*"))
	for _, file := range followed {
		content, _ := os.ReadFile(file)
		logs = append(logs, string(content))
	}
	since := "time=" + moment.UTC().Format("2006-01-02T15:04:05.000Z")
	var last []string // words, as those of a crash, that have no time
	for line := range strings.Lines(strings.Join(logs, "")) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case !strings.HasPrefix(line, "time="):
			last = append(last, line)
		case line >= since:
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return append(slices.Compact(lines), last...)
}

// keeper is a folder of files.
type keeper string

func (k keeper) text(name, content string) {
	if os.MkdirAll(string(k), 0o755) == nil {
		_ = os.WriteFile(filepath.Join(string(k), name), []byte(content), 0o644)
	}
}

func (k keeper) kubectl(ctx context.Context, name string, args ...string) {
	result := execKubectl(ctx, "", args...)
	k.text(name, result.Stdout+result.Stderr)
}
