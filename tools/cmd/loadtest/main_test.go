package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
	"github.com/image-webhook/image-webhook/tools/loadtest"
)

// TestMain also runs the server processes, because `handlers` starts the test binary as one. The
// kernel ends them with the tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
	}
	os.Exit(m.Run())
}

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/loadtest")
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // the line without the hint to --help
	}{
		{"unknown verb", []string{"fly"}, `unknown command "fly" for "loadtest"`},
		{"unexpected argument", []string{"handlers", "floor"}, `unknown command "floor" for "loadtest handlers"`},
		{"no duration", []string{"handlers", "--duration=0s"}, "invalid --duration=0s: use a value above zero"},
		{"no round", []string{"handlers", "--rounds=0"}, "invalid --rounds=0: use a value above zero"},
		{"negative connections", []string{"handlers", "--connections=-1"}, "invalid --connections=-1: use a value above zero"},
		{"no rate", []string{"handlers", "--rate=0"}, "invalid --rate=0: use a value above zero"},
		{"unknown contender", []string{"handlers", "--contenders=floor,nginx"}, `unknown contender "nginx": use one of ` + strings.Join(loadtest.ContenderNames(), ", ")},
		{"unknown review", []string{"handlers", "--reviews=pod"}, `unknown review "pod": use one of ` + strings.Join(loadtest.ReviewNames, ", ")},
		{"page with some contenders", []string{"handlers", "--write", "--contenders=floor"}, "--write writes the figures of all servers and reviews: omit --contenders"},
		{"page with some reviews", []string{"handlers", "--write", "--reviews=pod-create-3-containers"}, "--write writes the figures of all servers and reviews: omit --reviews"},
		{"page of a short run", []string{"handlers", "--write", "--short"}, "--write writes the figures of all servers and reviews: omit --short"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { clitest.CheckRefused(t, newRoot, test.args, test.want) })
	}
}

func TestServeNeedsAKnownContender(t *testing.T) {
	got := clitest.Run(t, newRoot, "serve", "--contender=nginx")
	if want := `loadtest: unknown contender "nginx": use one of ` + strings.Join(loadtest.ContenderNames(), ", ") + "\n"; got.Code != 1 || got.Stderr != want {
		t.Errorf("got %+v, want %s", got, want)
	}
}

func TestShortRunMeasuresEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	got := clitest.Run(t, newRoot, "handlers", "--short", "--duration=40ms", "--rate=100", "--json="+file)
	if got.Code != 0 {
		t.Fatalf("%+v", got)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var result loadtest.Result
	if err := json.Unmarshal(content, &result); err != nil {
		t.Fatal(err)
	}
	var measured []string
	for _, f := range result.Figures {
		measured = append(measured, f.Contender+" "+f.Path)
		if len(f.Rounds) != 1 || f.Review != loadtest.Headline || f.Bytes <= 0 || f.Allocations < 1 || slices.Min(durations(f.Rounds[0])) <= 0 || f.Rounds[0].Throughput <= 0 {
			t.Errorf("incomplete figures %+v", f)
		}
	}
	want := []string{"floor /", "image-webhook /mutating", "image-webhook /validating", "controller-runtime /mutating", "controller-runtime /validating", "typed-decode /mutating", "typed-decode /validating"}
	if diff := cmp.Diff(want, measured); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
	if f := result.Footprint; f == nil || len(f.Starts) != 5 || min(f.Program, f.Idle, f.Loaded, f.Peak, f.Settled) <= 0 {
		t.Errorf("incomplete footprint %+v", f)
	}
	for _, label := range append(want[1:], "floor ", "program ") {
		if !strings.Contains(got.Stdout, "\n  "+label) {
			t.Errorf("the report has no row %q:\n%s", label, got.Stdout)
		}
	}
}

// durations returns the durations of a round as numbers.
func durations(r loadtest.Round) []int64 {
	return []int64{int64(r.CPU), int64(r.Latency.P50), int64(r.Latency.P99), int64(r.Paced.P50), int64(r.Paced.P99)}
}
