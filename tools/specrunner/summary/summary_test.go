package summary

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/ginkgo/v2/types"
)

// finished is a spec as Ginkgo reports it.
func finished(container, text string, line int, state types.SpecState, took time.Duration) types.SpecReport {
	return types.SpecReport{
		ContainerHierarchyTexts: []string{container},
		LeafNodeType:            types.NodeTypeIt,
		LeafNodeText:            text,
		LeafNodeLocation:        types.CodeLocation{FileName: "/checkout/e2e/deny_test.go", LineNumber: line},
		State:                   state,
		RunTime:                 took,
	}
}

// failed is a spec that failed for a reason, with what the suite noted.
func failed(spec types.SpecReport, reason string, notes map[string]string) types.SpecReport {
	at := spec.LeafNodeLocation
	at.LineNumber++
	spec.Failure = types.Failure{Message: reason, Location: at, FailureNodeContext: types.FailureNodeIsLeafNode, FailureNodeLocation: spec.LeafNodeLocation}
	for _, name := range []string{Diagnosis, Folder, Kept} {
		if value := notes[name]; value != "" {
			spec.ReportEntries = append(spec.ReportEntries, types.ReportEntry{Name: name, Value: types.WrapEntryValue(value)})
		}
	}
	return spec
}

// written is a report as Ginkgo leaves it, read again.
func written(t *testing.T, report types.Report) Summary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "e2e.json")
	content, err := json.Marshal([]types.Report{report})
	if err := errors.Join(err, os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	s, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	s.Phases = Phases{{"build", 2900 * time.Millisecond}, {"specs", 24 * time.Second}}
	return s
}

func green() types.Report {
	return types.Report{
		SuiteSucceeded: true,
		SuiteConfig:    types.SuiteConfig{RandomSeed: 7, ParallelTotal: 4},
		SpecReports: types.SpecReports{
			{LeafNodeType: types.NodeTypeSynchronizedBeforeSuite, State: types.SpecStatePassed, RunTime: time.Hour},
			finished("deny", "is quick", 10, types.SpecStatePassed, 200*time.Millisecond),
			finished("deny", "is slow | odd", 20, types.SpecStatePassed, 12*time.Second),
			finished("record", "is left out", 30, types.SpecStateSkipped, 0),
		},
	}
}

func red() types.Report {
	report := green()
	report.SuiteSucceeded = false
	report.SpecReports = append(report.SpecReports,
		failed(finished("deny", "says what it's about (all)", 40, types.SpecStateFailed, time.Second), "Expected\n  a\nto equal\n  ```b```\n"+strings.Repeat("more\n", 19), map[string]string{
			Diagnosis: "Pod x is not ready", Folder: "deny-says", Kept: "e2e-abcde",
		}))
	return report
}

// panicked is a spec that failed somewhere in Go's own sources.
func panicked() types.SpecReport {
	spec := failed(finished("deny", "breaks", 50, types.SpecStatePanicked, time.Second), "Test Panicked", nil)
	spec.Failure.Location = types.CodeLocation{FileName: "/usr/local/go/src/runtime/map.go", LineNumber: 265}
	spec.Failure.ForwardedPanic = "assignment to entry in nil map"
	return spec
}

func TestPrint(t *testing.T) {
	const times = `  build   2.9s
  specs   24s
  in all  27s
`
	for name, tt := range map[string]struct {
		report types.Report
		want   string
	}{
		"all passed": {green(), "2 of 2 specs passed. One page about it: artifacts/summary.md\n" + times},
		"one failed": {red(), `✗ deny says what it's about (all) (e2e/deny_test.go:41)
    Expected
      a
    to equal
      ` + "```b```" + `
    more
    more
    more
    more
    more
    more
    more
    more
    more
    more
    more
    more
    …
    Pod x is not ready
    More: artifacts/deny-says
2 of 3 specs passed, 1 failed. One page about it: artifacts/summary.md
` + times},
		"a panic": {types.Report{SpecReports: types.SpecReports{panicked()}}, `✗ deny breaks (e2e/deny_test.go:50)
    Test Panicked
    assignment to entry in nil map
0 of 1 specs passed, 1 failed. One page about it: artifacts/summary.md
` + times},
		"somebody stopped it": {types.Report{
			SpecialSuiteFailureReasons: []string{"Interrupted by User"},
			SpecReports: types.SpecReports{
				finished("deny", "is quick", 10, types.SpecStatePassed, time.Second),
				failed(finished("deny", "was under way", 20, types.SpecStateInterrupted, time.Second), "Interrupted by User", nil),
			},
		}, "1 of 2 specs passed, 1 interrupted; Interrupted by User. One page about it: artifacts/summary.md\n" + times},
		"no spec fits": {types.Report{SpecialSuiteFailureReasons: []string{"Detected no specs ran"}}, "0 of 0 specs passed; Detected no specs ran. One page about it: artifacts/summary.md\n" + times},
		"the set-up failed": {types.Report{
			SpecialSuiteFailureReasons: []string{"Interrupted by User"},
			SpecReports: types.SpecReports{{
				LeafNodeType: types.NodeTypeSynchronizedBeforeSuite, State: types.SpecStateTimedout,
				LeafNodeLocation: types.CodeLocation{FileName: "/checkout/e2e/suite_test.go", LineNumber: 3},
				Failure:          types.Failure{Message: "\x1b[1mtoo late\x1b[0m"},
			}, {
				LeafNodeType: types.NodeTypeSynchronizedBeforeSuite, State: types.SpecStateFailed, // in another process
				Failure: types.Failure{Message: "\x1b[38;5;9mSynchronizedBeforeSuite failed on Ginkgo parallel process #1\x1b[0m\n  more"},
			}},
		}, `✗ SynchronizedBeforeSuite (e2e/suite_test.go:3)
    too late
0 of 0 specs passed, 1 failed; Interrupted by User. One page about it: artifacts/summary.md
` + times},
	} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			written(t, tt.report).Print(&got)
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteMarkdown(t *testing.T) {
	var got strings.Builder
	if err := written(t, red()).WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	want := `# e2e: 2 of 3 specs passed, 1 failed

4 at a time, in random order (seed 7).

## ✗ deny says what it's about (all)

e2e/deny_test.go:41, after 1.0s

` + "````text" + `
Expected
  a
to equal
  ` + "```b```" + `
` + strings.Repeat("more\n", 19) + "````" + `

` + "```text\nPod x is not ready\n```" + `

<details><summary>What the cluster said</summary>

` + "```text\nPod x is not ready\n```" + `

</details>

More: ` + "`artifacts/deny-says`" + `

## Times

| phase | time |
| --- | ---: |
| build | 2.9s |
| specs | 24s |
| in all | 27s |

| spec | | time |
| --- | --- | ---: |
| deny is slow \| odd | passed | 12s |
| deny says what it's about (all) | failed | 1.0s |
| deny is quick | passed | 0.2s |
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is told to type must find the spec again, from within single quotes.
func TestFocusAndKept(t *testing.T) {
	s := written(t, red())
	if diff := cmp.Diff(`deny says what it.s about \(all\)`, s.Focus()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"e2e-abcde"}, s.Kept()); diff != "" {
		t.Error(diff)
	}
	if green := written(t, green()); green.Focus() != "" || green.Kept() != nil {
		t.Errorf("focus %q and kept %q of a run without failures", green.Focus(), green.Kept())
	}
}

func TestReadRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"cut off":    {`[{"SuitePath":`, "unexpected end of JSON input"},
		"no suite":   {`[]`, "has 0 suites instead of one"},
		"two suites": {`[{},{}]`, "has 2 suites instead of one"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "e2e.json")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(path); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v of a file that is not there", err)
	}
}
