// Package summary says on one page what came of a run of the suite: which specs failed
// and why, and how long everything took. It reads Ginkgo's report, and in it what the
// suite has noted about failed specs.
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

// The report entries by which the suite tells of a failed spec. Their values are text.
const (
	// Diagnosis is what the cluster says about the failure.
	Diagnosis = "diagnosis"
	// Folder is where more of it is, below the folder artifacts.
	Folder = "folder"
	// Kept is a namespace of the spec that was not deleted.
	Kept = "kept namespace"
)

// ServerLogs is the folder, below the folder artifacts, with the logs of the webhook's
// servers: one file for each, also of those that are gone.
const ServerLogs = "webhook"

// Phase is a part of a run, and how long it took.
type Phase struct {
	Name string
	Took time.Duration
}

// Phases are those of a run, in their order.
type Phases []Phase

// Time runs do, and adds it to the phases.
func (p *Phases) Time(name string, do func() error) error {
	started := time.Now()
	err := do()
	*p = append(*p, Phase{name, time.Since(started)})
	return err
}

func (p Phases) total() (total time.Duration) {
	for _, each := range p {
		total += each.Took
	}
	return total
}

// Summary is what came of a run.
type Summary struct {
	Phases Phases
	report types.Report
}

// Read reads the report that Ginkgo has written as JSON.
func Read(path string) (Summary, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Summary{}, err
	}
	var reports []types.Report
	if err := json.Unmarshal(content, &reports); err != nil {
		return Summary{}, fmt.Errorf("%s: %w", path, err)
	}
	if len(reports) != 1 {
		return Summary{}, fmt.Errorf("%s has %d suites instead of one", path, len(reports))
	}
	return Summary{report: reports[0]}, nil
}

// spec is a spec, or a part of the suite's set-up, as the page shows it.
type spec struct {
	name   string
	at     string // its file and line, from the root of the checkout
	reason string // why it failed
	types.SpecReport
}

// specs are all that were run, those that took longest first.
func (s Summary) specs() []spec {
	var specs []spec
	for _, report := range s.report.SpecReports {
		each := newSpec(report)
		isSpec := report.LeafNodeType.Is(types.NodeTypeIt)
		if report.State == types.SpecStateSkipped || report.State == types.SpecStatePending || !isSpec && !each.failed() {
			continue
		}
		specs = append(specs, each)
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
		if at := report.FailureLocation(); filepath.Base(filepath.Dir(at.FileName)) == "e2e" { // not where Go panics
			location = at
		}
		s.reason = strings.TrimSpace(colours.ReplaceAllString(report.Failure.Message+"\n"+report.Failure.ForwardedPanic, ""))
	}
	s.at = fmt.Sprintf("e2e/%s:%d", filepath.Base(location.FileName), location.LineNumber)
	return s
}

// colours are what Ginkgo writes into some reasons, terminal or not.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// failed is not what a person, or the failure of another one, has interrupted.
func (s spec) failed() bool {
	return s.State.Is(types.SpecStateFailureStates) && s.State != types.SpecStateInterrupted
}

// noted are the values of the suite's notes of one kind.
func (s spec) noted(kind string) (values []string) {
	for _, entry := range s.ReportEntries {
		if entry.Name == kind {
			values = append(values, entry.StringRepresentation())
		}
	}
	return values
}

// elsewhere is how Ginkgo reports in each process that the set-up failed in the first.
var elsewhere = regexp.MustCompile(`^\w+ failed on Ginkgo parallel process #1`)

// failures are the specs that failed, in the order in which they did.
func (s Summary) failures() []spec {
	failed := slices.DeleteFunc(s.specs(), func(each spec) bool { return !each.failed() || elsewhere.MatchString(each.reason) })
	slices.SortFunc(failed, func(a, b spec) int { return a.EndTime.Compare(b.EndTime) })
	return failed
}

// cause is what the cluster says first, if that is about a pod; empty: it is not.
func (s spec) cause() string {
	for _, text := range s.noted(Diagnosis) {
		if line, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(line, "Pod ") {
			return line
		}
	}
	return ""
}

// Kept are the namespaces of failed specs that were not deleted.
func (s Summary) Kept() (namespaces []string) {
	for _, failed := range s.failures() {
		namespaces = append(namespaces, failed.noted(Kept)...)
	}
	return namespaces
}

// Focus is the regular expression that runs the first failed spec alone; empty: there
// is none. It can stand between a shell's single quotes.
func (s Summary) Focus() string {
	for _, failed := range s.failures() {
		if failed.LeafNodeType.Is(types.NodeTypeIt) {
			return strings.ReplaceAll(regexp.QuoteMeta(failed.name), "'", ".")
		}
	}
	return ""
}

// Empty says that no spec fitted what was asked for.
func (s Summary) Empty() bool {
	return !slices.ContainsFunc(s.specs(), func(each spec) bool { return each.LeafNodeType.Is(types.NodeTypeIt) }) && len(s.failures()) == 0
}

// count says how the specs ended: "78 of 79 specs passed, 1 failed".
func (s Summary) count() string {
	passed, ran, interrupted, failed := 0, 0, 0, len(s.failures())
	for _, each := range s.specs() {
		if each.LeafNodeType.Is(types.NodeTypeIt) {
			ran++
		}
		switch each.State {
		case types.SpecStatePassed:
			passed++
		case types.SpecStateInterrupted:
			interrupted++
		}
	}
	said := fmt.Sprintf("%d of %d specs passed", passed, ran)
	if failed > 0 {
		said += fmt.Sprintf(", %d failed", failed)
	}
	if interrupted > 0 {
		said += fmt.Sprintf(", %d interrupted", interrupted)
	}
	for _, reason := range s.report.SpecialSuiteFailureReasons {
		if reason != "Interrupted by Other Ginkgo Process" { // which failed first, as --fail-fast wants it
			said += "; " + reason
		}
	}
	return said
}
