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
	"github.com/image-webhook/image-webhook/tools/devcluster/monitoring"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/specrunner/reviewlog"
	"github.com/image-webhook/image-webhook/tools/specrunner/summary"
)

// When a spec fails, its report contains a diagnosis of the cluster, and artifacts/ gets a
// directory with the details. Everything here is best effort: it must never hide the failure
// that it explains.

var (
	specNamespaces []string   // namespaces that the running spec has created
	transcript     commandLog // kubectl commands of the running spec
)

var _ = BeforeEach(func() { specNamespaces, transcript = nil, nil })

// JustAfterEach runs before any cleanup, which would delete the objects of the spec.
var _ = JustAfterEach(func(ctx SpecContext) {
	if report := CurrentSpecReport(); report.Failed() {
		diagnose(ctx, report)
	}
}, NodeTimeout(time.Minute))

const (
	logLines     = 40 // log lines of a container that is not ready
	shownReviews = 3  // reviews in the report; the directory has all
)

// diagnose writes the directory of a failed spec and adds the summary to its report.
func diagnose(ctx context.Context, spec SpecReport) {
	dirName := specDirName(spec.FullText())
	dir := artifactDir(filepath.Join("..", "artifacts", dirName))
	lines := webhookLogsSince(ctx, spec.StartTime)
	reviewed := specNamespaces
	if len(reviewed) == 0 {
		reviewed = []string{dryRuns}
	}
	answers, log := reviewlog.Exchanges(lines, reviewed), reviewlog.OtherLines(lines, reviewed)
	dir.write("webhook.log", strings.Join(log, "\n")) // without the requests of other specs
	for i, answer := range answers {
		dir.write(fmt.Sprintf("review-%02d%s.json", i+1, strings.ReplaceAll(answer.Path, "/", "-")), answer.JSON())
	}
	namespaces := append(slices.Clone(specNamespaces), ownNamespace, mirror.Namespace, monitoring.Namespace)
	for _, namespace := range namespaces {
		dir.writeKubectl(ctx, namespace+"-objects.yaml", "get", "all", "-o", "yaml", "-n", namespace)
		dir.writeKubectl(ctx, namespace+"-events.txt", "get", "events", "--sort-by=.lastTimestamp", "-n", namespace)
	}
	dir.writeKubectl(ctx, "namespace-owner.log", "logs", "-n", ownNamespace, "-l", ownerController, "--prefix", "--tail=-1")
	if len(transcript) > 0 {
		dir.write("kubectl.txt", transcript.String())
		AddReportEntry("kubectl commands and their output", transcript.String(), ReportEntryVisibilityFailureOrVerbose)
	}
	AddReportEntry(summary.Diagnosis, diagnosis(ctx, namespaces, answers, log), ReportEntryVisibilityFailureOrVerbose)
	AddReportEntry(summary.Directory, dirName, ReportEntryVisibilityNever)
}

// commandLog holds kubectl commands and their results in the order in which they ran.
type commandLog []loggedCommand

type loggedCommand struct {
	args   string
	result result // result of the last run
	times  int    // number of runs in a row
}

// add appends a command. A command that was polled becomes one entry.
func (c *commandLog) add(args string, got result) {
	if n := len(*c); n > 0 && (*c)[n-1].args == args {
		(*c)[n-1].result = got
		(*c)[n-1].times++
		return
	}
	*c = append(*c, loggedCommand{args, got, 1})
}

// String formats the commands as in a terminal.
func (c commandLog) String() string {
	var out strings.Builder
	for _, entry := range c {
		fmt.Fprintf(&out, "$ kubectl %s\n", entry.args)
		if entry.times > 1 {
			fmt.Fprintf(&out, "(run %d times in a row; the last output:)\n", entry.times)
		}
		out.WriteString(entry.result.Stdout + entry.result.Stderr)
		if entry.result.Exit != 0 {
			fmt.Fprintf(&out, "(exit code %d)\n", entry.result.Exit)
		}
	}
	return strings.TrimRight(out.String(), "\n")
}

// specDirName turns the text of a spec into a directory name.
func specDirName(text string) string {
	name := strings.Trim(regexp.MustCompile(`[^a-zA-Z0-9]+`).ReplaceAllString(text, "-"), "-")
	return name[:min(len(name), 150)]
}

// diagnosis returns the pods that are not ready, the last reviews, and the webhook's log.
func diagnosis(ctx context.Context, namespaces []string, answers []reviewlog.Exchange, log []string) string {
	var out strings.Builder
	for _, namespace := range namespaces {
		subject := "Pod"
		if !slices.Contains(specNamespaces, namespace) {
			subject = "Pod outside of the spec's namespaces:"
		}
		writeUnreadyPods(ctx, &out, subject, namespace)
	}
	if len(answers) == 0 {
		fmt.Fprintln(&out, "The webhook got no requests about the namespaces of the spec, or does not log its reviews.")
	}
	for _, answer := range answers[max(0, len(answers)-shownReviews):] {
		fmt.Fprintln(&out, answer)
	}
	if len(log) > 0 {
		fmt.Fprintln(&out, "The webhook's log since the start of the spec:")
	}
	for _, line := range log {
		fmt.Fprintln(&out, "  "+line)
	}
	return strings.TrimRight(out.String(), "\n")
}

// writeUnreadyPods writes, for each pod that is not ready, the reason, its warning events
// and the last lines of its logs.
func writeUnreadyPods(ctx context.Context, out *strings.Builder, subject, namespace string) {
	var pods corev1.PodList
	if err := client.Resources(namespace).List(ctx, &pods); err != nil {
		fmt.Fprintf(out, "Could not list the pods of namespace %s: %v\n", namespace, err)
		return
	}
	for _, pod := range pods.Items {
		reason := probe.NotReady(pod)
		if reason == "" {
			continue
		}
		fmt.Fprintf(out, "%s %s/%s is not ready: %s\n", subject, namespace, pod.Name, reason)
		events := execKubectl(ctx, "", "get", "events", "-n", namespace, "--field-selector=type=Warning,involvedObject.name="+pod.Name,
			"-o", `jsonpath={range .items[*]}  {.reason}: {.message}{"\n"}{end}`)
		out.WriteString(events.Stdout)
		log := execKubectl(ctx, "", "logs", pod.Name, "-n", namespace, "--all-containers", "--prefix", "--tail="+strconv.Itoa(logLines))
		for line := range strings.Lines(log.Stdout) {
			out.WriteString("  " + line)
		}
	}
}

// webhookLogsSince returns the log lines of all webhook servers since a time, sorted by
// time. It reads the logs of the running servers and those that the run has followed,
// because a server may have been replaced.
func webhookLogsSince(ctx context.Context, since time.Time) (lines []string) {
	current := execKubectl(ctx, "", "logs", "-n", ownNamespace, "-l", "app.kubernetes.io/component=webhook", "--tail=-1", "--since-time="+since.UTC().Format(time.RFC3339))
	logs := []string{current.Stdout}
	followedLogs, _ := filepath.Glob(filepath.Join("..", "artifacts", summary.ServerLogs, "*"))
	for _, file := range followedLogs {
		content, _ := os.ReadFile(file)
		logs = append(logs, string(content))
	}
	first := "time=" + since.UTC().Format("2006-01-02T15:04:05.000Z")
	var undated []string // lines without a time, such as those of a crash
	for line := range strings.Lines(strings.Join(logs, "")) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case !strings.HasPrefix(line, "time="):
			undated = append(undated, line)
		case line >= first:
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return append(slices.Compact(lines), undated...)
}

// artifactDir is a directory for files that explain a failure.
type artifactDir string

func (d artifactDir) write(name, content string) {
	if os.MkdirAll(string(d), 0o755) == nil {
		_ = os.WriteFile(filepath.Join(string(d), name), []byte(content), 0o644)
	}
}

// writeKubectl writes the output of kubectl.
func (d artifactDir) writeKubectl(ctx context.Context, name string, args ...string) {
	got := execKubectl(ctx, "", args...)
	d.write(name, got.Stdout+got.Stderr)
}
