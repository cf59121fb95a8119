// Package summary writes one page about a run of the suite: which specs failed and why, and the
// duration of each phase and spec. It reads Ginkgo's report, to which the suite has added report
// entries about failed specs. It does not know the cluster.
package summary

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2/types"
)

// Diagnosis, Directory and KeptNamespace are the names of the report entries that the suite adds
// to a failed spec.
const (
	// Diagnosis is the state of the cluster after the failure.
	Diagnosis = "diagnosis"
	// Directory is the directory below artifacts with the details.
	Directory = "directory"
	// KeptNamespace is a namespace of the spec that was not deleted.
	KeptNamespace = "kept namespace"
)

// ServerLogs is the directory below artifacts with one log file for each webhook server,
// including servers that were replaced.
const ServerLogs = "webhook"

// Phase is a part of a run.
type Phase struct {
	Name     string
	Duration time.Duration
}

// Phases are the phases of a run, in order.
type Phases []Phase

// Time runs a phase and records its duration.
func (p *Phases) Time(name string, run func() error) error {
	started := time.Now()
	err := run()
	*p = append(*p, Phase{name, time.Since(started)})
	return err
}

func (p Phases) total() (total time.Duration) {
	for _, phase := range p {
		total += phase.Duration
	}
	return total
}

// Summary is the result of a run.
type Summary struct {
	Phases Phases
	report types.Report
}

// Read reads a JSON report of Ginkgo.
func Read(path string) (Summary, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Summary{}, err
	}
	var reports []types.Report
	if err := json.Unmarshal(content, &reports); err != nil {
		return Summary{}, fmt.Errorf("parse %s: %w", path, err)
	}
	if len(reports) != 1 {
		return Summary{}, fmt.Errorf("%s has %d suites, want one", path, len(reports))
	}
	return Summary{report: reports[0]}, nil
}

// spec is a spec, or a set-up node of the suite, in the form of the page.
type spec struct {
	name     string
	location string // file and line, relative to the top of the checkout
	reason   string // why it failed
	types.SpecReport
}

// specs returns all specs that ran and all failed set-up nodes, the slowest first.
func (s Summary) specs() []spec {
	var specs []spec
	for _, report := range s.report.SpecReports {
		s := newSpec(report)
		isSpec := report.LeafNodeType.Is(types.NodeTypeIt)
		if report.State == types.SpecStateSkipped || report.State == types.SpecStatePending || !isSpec && !s.failed() {
			continue
		}
		specs = append(specs, s)
	}
	slices.SortStableFunc(specs, func(a, b spec) int { return cmp.Compare(b.RunTime, a.RunTime) })
	return specs
}

func newSpec(report types.SpecReport) spec {
	s := spec{name: report.FullText(), SpecReport: report}
	if s.name == "" {
		s.name = report.LeafNodeType.String()
	}
	location := report.LeafNodeLocation
	if s.failed() {
		if failure := report.FailureLocation(); filepath.Base(filepath.Dir(failure.FileName)) == "e2e" { // a panic may be in Go's sources
			location = failure
		}
		s.reason = strings.TrimSpace(colorCode.ReplaceAllString(report.Failure.Message+"\n"+report.Failure.ForwardedPanic, ""))
	}
	s.location = fmt.Sprintf("e2e/%s:%d", filepath.Base(location.FileName), location.LineNumber)
	return s
}

// colorCode matches the colors that Ginkgo adds to some reasons, even without a terminal.
var colorCode = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// failed reports whether the spec failed, and was not interrupted by a user or by the failure of
// another spec.
func (s spec) failed() bool {
	return s.State.Is(types.SpecStateFailureStates) && s.State != types.SpecStateInterrupted
}

// entries returns the values of the report entries with a name.
func (s spec) entries(name string) (values []string) {
	for _, entry := range s.ReportEntries {
		if entry.Name == name {
			values = append(values, entry.StringRepresentation())
		}
	}
	return values
}

// firstProcessFailed matches the reason that Ginkgo reports in the other processes if the set-up
// failed in the first process.
var firstProcessFailed = regexp.MustCompile(`^\w+ failed on Ginkgo parallel process #1`)

// failures returns the failed specs in the order in which they ended.
func (s Summary) failures() []spec {
	failed := slices.DeleteFunc(s.specs(), func(s spec) bool { return !s.failed() || firstProcessFailed.MatchString(s.reason) })
	slices.SortFunc(failed, func(a, b spec) int { return a.EndTime.Compare(b.EndTime) })
	return failed
}

// cause returns the first line of the diagnosis if it is about a pod.
func (s spec) cause() string {
	for _, text := range s.entries(Diagnosis) {
		if line, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(line, "Pod ") {
			return line
		}
	}
	return ""
}

// KeptNamespaces returns the namespaces of failed specs that were not deleted.
func (s Summary) KeptNamespaces() (namespaces []string) {
	for _, failed := range s.failures() {
		namespaces = append(namespaces, failed.entries(KeptNamespace)...)
	}
	return namespaces
}

// Focus returns a regular expression that matches only the first failed spec, or an empty string.
// It contains no single quote, so that a shell command can quote it.
func (s Summary) Focus() string {
	for _, failed := range s.failures() {
		if failed.LeafNodeType.Is(types.NodeTypeIt) {
			return strings.ReplaceAll(regexp.QuoteMeta(failed.name), "'", ".")
		}
	}
	return ""
}

// Empty reports whether no spec matched the focus and the label filter.
func (s Summary) Empty() bool {
	return !slices.ContainsFunc(s.specs(), func(s spec) bool { return s.LeafNodeType.Is(types.NodeTypeIt) }) && len(s.failures()) == 0
}

// count returns the counts as text: "78 of 79 specs passed, 1 failed".
func (s Summary) count() string {
	passed, ran, interrupted, failed := 0, 0, 0, len(s.failures())
	for _, spec := range s.specs() {
		if spec.LeafNodeType.Is(types.NodeTypeIt) {
			ran++
		}
		switch spec.State {
		case types.SpecStatePassed:
			passed++
		case types.SpecStateInterrupted:
			interrupted++
		}
	}
	text := fmt.Sprintf("%d of %d specs passed", passed, ran)
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if interrupted > 0 {
		text += fmt.Sprintf(", %d interrupted", interrupted)
	}
	for _, reason := range s.report.SpecialSuiteFailureReasons {
		if reason != "Interrupted by Other Ginkgo Process" { // --fail-fast stops the other processes
			text += "; " + reason
		}
	}
	return text
}
