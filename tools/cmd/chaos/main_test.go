package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/chaos")
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // the line without the hint to --help
	}{
		{"unexpected argument", []string{"rollout-1"}, `unknown command "rollout-1" for "chaos"`},
		{"invalid name", []string{"--name=../x"}, `invalid name "../x": use at most 40 lower-case letters, digits and dashes`},
		{"unknown event", []string{"--events=rollout-1,fire"}, `unknown event "fire": use names of --list`},
		{"no rate", []string{"--rate=0"}, "invalid --rate=0: use 1 to 1000"},
		{"high rate", []string{"--rate=1001"}, "invalid --rate=1001: use 1 to 1000"},
		{"negative store", []string{"--store=-1"}, "invalid --store=-1: use 0 to 100"},
		{"more than all", []string{"--store=101"}, "invalid --store=101: use 0 to 100"},
		{"negative settle time", []string{"--settle=-1s"}, "invalid --settle=-1s: use 0s or more"},
		{"short soak", []string{"--soak=10s"}, "invalid --soak=10s: use 1m or more"},
		{"no soak", []string{"--soak=0s"}, "invalid --soak=0s: use 1m or more"},
		{"short validity", []string{"--soak=1h", "--validity=1s"}, "invalid --validity=1s: use 1m or more"},
		{"validity without soak", []string{"--validity=5m"}, "--validity needs --soak"},
		{"soak with events", []string{"--soak=1h", "--events=rollout-1"}, "--soak runs no events: omit --short and --events"},
		{"short soak run", []string{"--soak=1h", "--short"}, "--soak runs no events: omit --short and --events"},
		{"short with events", []string{"--short", "--events=rollout-1"}, "--short chooses the events: omit --events"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { clitest.CheckRefused(t, newRoot, test.args, test.want) })
	}
}

func TestListNeedsNoCluster(t *testing.T) {
	got := clitest.Run(t, newRoot, "--list")
	if got.Code != 0 || got.Stderr != "" || !strings.HasPrefix(got.Stdout, "rollout-1         kubectl rollout restart\n") {
		t.Errorf("got %+v", got)
	}
}

func TestChecksTheOutputBeforeTheRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("# Page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := clitest.Result{Code: 1, Stderr: "chaos: write the report to " + file +
		": the marker \"<!-- begin chaos: written by COMMAND -->\" is on 0 lines: write it on exactly one line\n"}
	if diff := cmp.Diff(want, clitest.Run(t, newRoot, "--output="+file)); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}
