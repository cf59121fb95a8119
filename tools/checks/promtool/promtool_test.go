// Package promtool tests the alerting rules, and the metrics of the server, with promtool. The
// module tools/checks/monitoring tests the dashboard and the objects of the Prometheus Operator.
package promtool

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/tools/checks/servermetrics"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/prometheus"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const (
	root       = "../../.."
	monitoring = root + "/deploy/monitoring"
)

// run runs promtool in the directory of the rules. It compiles promtool first, if it is not in the
// cache.
func run(t *testing.T, stdin string, args ...string) {
	t.Helper()
	runIn(t, monitoring, stdin, args...)
}

// runIn is run in another directory.
func runIn(t *testing.T, dir, stdin string, args ...string) {
	t.Helper()
	// The cache of `go test` knows only the files that the test itself has read.
	for _, file := range []string{"rules.yaml", "rules_test.yaml"} {
		if _, err := os.ReadFile(monitoring + "/" + file); err != nil {
			t.Fatal(err)
		}
	}
	program, err := prometheus.Build(t.Context(), progress.New(os.Stderr), root, prometheus.Promtool)
	if err != nil {
		subprocess.Print(os.Stderr, "compile promtool", err)
		t.FailNow()
	}
	command := subprocess.Command{Args: append([]string{program}, args...), Dir: dir, Stdin: strings.NewReader(stdin)}
	if err := command.Run(t.Context()); err != nil {
		subprocess.Print(os.Stderr, "promtool", err)
		t.FailNow()
	}
}

func TestRulesAreValid(t *testing.T) {
	run(t, "", "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml")
}

func TestRulesFireOnlyWhenTheyShould(t *testing.T) {
	run(t, "", "test", "rules", "rules_test.yaml")
}

func TestMetricsFollowTheConventions(t *testing.T) {
	run(t, servermetrics.Scrape(t, root), "check", "metrics")
}

// scrapeExample matches the example configuration in docs/operations.md.
var scrapeExample = regexp.MustCompile("(?s)```yaml\n(# prometheus.yml\n.*?)```")

func TestScrapeExampleIsValid(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	example := scrapeExample.FindSubmatch(page)
	if example == nil {
		t.Fatal("docs/operations.md does not contain the example: a code block that starts with # prometheus.yml")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(monitoring)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/prometheus.yml", example[1], 0o600); err != nil {
		t.Fatal(err)
	}
	runIn(t, dir, "", "check", "config", "prometheus.yml")
}
