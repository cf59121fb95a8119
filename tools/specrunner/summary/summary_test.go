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

// newReport returns Ginkgo's report of a spec.
func newReport(container, text string, line int, state types.SpecState, duration time.Duration) types.SpecReport {
	return types.SpecReport{
		ContainerHierarchyTexts: []string{container},
		LeafNodeType:            types.NodeTypeIt,
		LeafNodeText:            text,
		LeafNodeLocation:        types.CodeLocation{FileName: "/checkout/e2e/deny_test.go", LineNumber: line},
		State:                   state,
		RunTime:                 duration,
	}
}

// withFailure adds a reason and report entries to the report of a spec.
func withFailure(spec types.SpecReport, reason string, entries map[string]string) types.SpecReport {
	location := spec.LeafNodeLocation
	location.LineNumber++
	spec.Failure = types.Failure{Message: reason, Location: location, FailureNodeContext: types.FailureNodeIsLeafNode, FailureNodeLocation: spec.LeafNodeLocation}
	for _, name := range []string{Diagnosis, Directory, KeptNamespace} {
		if value := entries[name]; value != "" {
			spec.ReportEntries = append(spec.ReportEntries, types.ReportEntry{Name: name, Value: types.WrapEntryValue(value)})
		}
	}
	return spec
}

// writeAndRead writes a report to a file and returns its summary.
func writeAndRead(t *testing.T, report types.Report) Summary {
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

func passedReport() types.Report {
	return types.Report{
		SuiteSucceeded: true,
		SuiteConfig:    types.SuiteConfig{RandomSeed: 7, ParallelTotal: 4},
		SpecReports: types.SpecReports{
			{LeafNodeType: types.NodeTypeSynchronizedBeforeSuite, State: types.SpecStatePassed, RunTime: time.Hour},
			newReport("deny", "is quick", 10, types.SpecStatePassed, 200*time.Millisecond),
			newReport("deny", "is slow | odd", 20, types.SpecStatePassed, 12*time.Second),
			newReport("record", "is left out", 30, types.SpecStateSkipped, 0),
		},
	}
}

func failedReport() types.Report {
	report := passedReport()
	report.SuiteSucceeded = false
	report.SpecReports = append(report.SpecReports,
		withFailure(newReport("deny", "names the pod's image (all)", 40, types.SpecStateFailed, time.Second), "Expected\n  a\nto equal\n  ```b```\n"+strings.Repeat("more\n", 19), map[string]string{
			Diagnosis: "Pod x is not ready", Directory: "deny-names", KeptNamespace: "e2e-abcde",
		}))
	return report
}

// panickedSpec failed in a source file of Go.
func panickedSpec() types.SpecReport {
	spec := withFailure(newReport("deny", "breaks", 50, types.SpecStatePanicked, time.Second), "Test Panicked", nil)
	spec.Failure.Location = types.CodeLocation{FileName: "/usr/local/go/src/runtime/map.go", LineNumber: 265}
	spec.Failure.ForwardedPanic = "assignment to entry in nil map"
	return spec
}

func TestPrintShowsFailuresAndDurations(t *testing.T) {
	const durations = `  build  2.9s
  specs  24s
  total  27s
`
	for name, tt := range map[string]struct {
		report types.Report
		want   string
	}{
		"all passed": {passedReport(), "2 of 2 specs passed. Summary: artifacts/summary.md\n" + durations},
		"one failed": {failedReport(), `✗ deny names the pod's image (all) (e2e/deny_test.go:41)
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
    Details: artifacts/deny-names
2 of 3 specs passed, 1 failed. Summary: artifacts/summary.md
` + durations},
		"panic": {types.Report{SpecReports: types.SpecReports{panickedSpec()}}, `✗ deny breaks (e2e/deny_test.go:50)
    Test Panicked
    assignment to entry in nil map
0 of 1 specs passed, 1 failed. Summary: artifacts/summary.md
` + durations},
		"interrupted by a user": {types.Report{
			SpecialSuiteFailureReasons: []string{"Interrupted by User"},
			SpecReports: types.SpecReports{
				newReport("deny", "is quick", 10, types.SpecStatePassed, time.Second),
				withFailure(newReport("deny", "was running", 20, types.SpecStateInterrupted, time.Second), "Interrupted by User", nil),
			},
		}, "1 of 2 specs passed, 1 interrupted; Interrupted by User. Summary: artifacts/summary.md\n" + durations},
		"no spec matches": {types.Report{SpecialSuiteFailureReasons: []string{"Detected no specs ran"}}, "0 of 0 specs passed; Detected no specs ran. Summary: artifacts/summary.md\n" + durations},
		"failed set-up": {types.Report{
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
0 of 0 specs passed, 1 failed; Interrupted by User. Summary: artifacts/summary.md
` + durations},
	} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			writeAndRead(t, tt.report).Print(&got)
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteMarkdownWritesPage(t *testing.T) {
	var got strings.Builder
	if err := writeAndRead(t, failedReport()).WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	want := `# e2e: 2 of 3 specs passed, 1 failed

The specs ran in random order (seed 7), 4 at a time.

## ✗ deny names the pod's image (all)

e2e/deny_test.go:41, after 1.0s

` + "````text" + `
Expected
  a
to equal
  ` + "```b```" + `
` + strings.Repeat("more\n", 19) + "````" + `

` + "```text\nPod x is not ready\n```" + `

<details><summary>Diagnosis</summary>

` + "```text\nPod x is not ready\n```" + `

</details>

Details: ` + "`artifacts/deny-names`" + `

## Durations

| phase | duration |
| --- | ---: |
| build | 2.9s |
| specs | 24s |
| total | 27s |

| spec | result | duration |
| --- | --- | ---: |
| deny is slow \| odd | passed | 12s |
| deny names the pod's image (all) | failed | 1.0s |
| deny is quick | passed | 0.2s |
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFocusAndKeptNamespacesNameFailedSpec(t *testing.T) {
	s := writeAndRead(t, failedReport())
	if diff := cmp.Diff(`deny names the pod.s image \(all\)`, s.Focus()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"e2e-abcde"}, s.KeptNamespaces()); diff != "" {
		t.Error(diff)
	}
	if passed := writeAndRead(t, passedReport()); passed.Focus() != "" || passed.KeptNamespaces() != nil {
		t.Errorf("focus %q and kept namespaces %q of a run without failures", passed.Focus(), passed.KeptNamespaces())
	}
}

func TestReadRefusesInvalidReports(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"truncated":  {`[{"SuitePath":`, "unexpected end of JSON input"},
		"no suite":   {`[]`, "has 0 suites, want one"},
		"two suites": {`[{},{}]`, "has 2 suites, want one"},
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
		t.Errorf("got %v for a missing file", err)
	}
}
