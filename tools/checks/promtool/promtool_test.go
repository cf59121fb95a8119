// Package promtool tests the alerting rules, and the metrics of the server, with promtool. The
// module tools/checks/monitoring tests the dashboard and the objects of the Prometheus Operator.
package promtool

import (
	"os"
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
	program, err := prometheus.Build(t.Context(), progress.New(os.Stderr), root, prometheus.Promtool)
	if err != nil {
		subprocess.Print(os.Stderr, "compile promtool", err)
		t.FailNow()
	}
	command := subprocess.Command{Args: append([]string{program}, args...), Dir: monitoring, Stdin: strings.NewReader(stdin)}
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
