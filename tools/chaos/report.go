package chaos

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// Report is the result of a run.
type Report struct {
	Options
	Release string // Kubernetes version
	Hybrid  bool   // whether a policy denies
	CPUs    int    // of this machine
	Date    string
	Soak    bool // whether the rows are periods of a soak, with one phase each
	Minimum int  // number of creates that the run must have
	Rows    []Row
}

// Row is an event, or a period of a soak.
type Row struct {
	Name     string
	Lasted   time.Duration // the event, without the quiet time before and after it
	Phases   []Figures     // before, during and after the event
	Losses   Losses
	Faults   Faults
	Renewals int      // in a soak: number of certificates that came into use
	Notes    []string // what else happened
	Failure  string   // why the event did not happen as intended; empty: it did
}

// creates returns the number of creates that the API server answered.
func (r Row) creates() (sum int) {
	for o := range noAnswer {
		sum += r.count(o)
	}
	return sum
}

// count returns how often an outcome occurred in all phases.
func (r Row) count(o outcome) (sum int) {
	for _, p := range r.Phases {
		sum += p.Counts[o]
	}
	return sum
}

// lost returns the number of losses that the faults of the event do not explain.
func (r Row) lost() (sum int) {
	for _, o := range losses {
		sum += r.count(o)
	}
	return sum - r.explained()
}

// explained returns the number of losses that the faults of the event explain.
func (r Row) explained() (sum int) {
	for _, l := range r.Losses.All {
		if r.Faults.explain(l) {
			sum++
		}
	}
	return sum
}

// summary describes the row on one line.
func (r Row) summary() string {
	text := fmt.Sprintf("%d creates, %d lost", r.creates(), r.lost())
	if n := r.explained(); n > 0 {
		text += fmt.Sprintf(", %d within %s", n, r.Faults.Bound)
	}
	if n := r.count(noAnswer); n > 0 {
		text += fmt.Sprintf(", %d not answered", n)
	}
	return text
}

// Err returns an error unless all events happened and nothing was lost.
func (r *Report) Err() error {
	var err error
	var lost, creates int
	for _, row := range r.Rows {
		lost, creates = lost+row.lost(), creates+row.creates()
		if row.Failure != "" {
			err = errors.Join(err, fmt.Errorf("event %s: %s", row.Name, row.Failure))
		}
	}
	if lost > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d creates were lost: the table names the events", lost, creates))
	}
	if creates < r.Minimum {
		err = errors.Join(err, fmt.Errorf("only %d creates: a complete run has at least %d: use a higher --rate", creates, r.Minimum))
	}
	return err
}

// Markdown returns the report as a Markdown table that is also aligned as text, and the losses of
// each event.
func (r *Report) Markdown() string {
	var b strings.Builder
	form := ""
	if r.Hybrid {
		form = "The hybrid form. "
	}
	fmt.Fprintf(&b, "%sKubernetes %s on a machine with %d CPUs, %s. %d clients, each with up to %d creates per second; %d%% of the\npods are stored. %s\n\n%s",
		form, r.Release, r.CPUs, r.Date, clientCount, r.Rate, r.Store, r.legend(), markdown.Table(r.table()))
	for _, row := range r.Rows {
		b.WriteString(row.details())
	}
	return b.String()
}

func (r *Report) legend() string {
	if r.Soak {
		return "Latencies are in milliseconds."
	}
	return "Latencies are in milliseconds: before, during\nand after the event. Lost for: how long after a fault creates were lost, and for how long they may be."
}

// table returns the rows of the table, with a total at the end.
func (r *Report) table() [][]string {
	rows := [][]string{r.header()}
	total := Row{Name: "total"}
	for _, row := range r.Rows {
		rows = append(rows, row.cells(r.Soak))
		total.Phases = append(total.Phases, row.Phases...)
		total.Renewals += row.Renewals
	}
	cells := total.counts(r.Soak)
	return append(rows, append(cells, make([]string, len(rows[0])-len(cells))...))
}

func (r *Report) header() []string {
	counted := []string{"creates", refused.String(), notMirrored.String(), notDenied.String(), noAnswer.String()}
	if r.Soak {
		return append(append([]string{"minutes"}, counted...), "renewals", "p50", "p99")
	}
	return append(append([]string{"event"}, counted...), "lost for", "seconds", "p50", "p99")
}

func (r Row) cells(soak bool) []string {
	cells := r.counts(soak)
	if !soak {
		cells = append(cells, r.Faults.lostFor(r.Losses.All), fmt.Sprintf("%.0f", r.Lasted.Seconds()))
	}
	return append(cells,
		r.latencies(func(f Figures) time.Duration { return f.P50 }),
		r.latencies(func(f Figures) time.Duration { return f.P99 }))
}

// counts returns the cells that have a total.
func (r Row) counts(soak bool) []string {
	cells := []string{r.Name, strconv.Itoa(r.creates())}
	for _, o := range append(losses[:len(losses):len(losses)], noAnswer) {
		cells = append(cells, strconv.Itoa(r.count(o)))
	}
	if soak {
		cells = append(cells, strconv.Itoa(r.Renewals))
	}
	return cells
}

// latencies returns a latency of each phase, such as "4.1 / 12 / 4.3".
func (r Row) latencies(latency func(Figures) time.Duration) string {
	var texts []string
	for _, f := range r.Phases {
		texts = append(texts, milliseconds(latency(f)))
	}
	return strings.Join(texts, " / ")
}

// milliseconds returns a duration with two digits or more. Zero means that there was no answer.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d == 0:
		return "-"
	case ms < 9.95:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// details returns the notes and the failure of the event and examples of losses that its faults do
// not explain, as a Markdown list; nothing if there are none.
func (r Row) details() string {
	var b strings.Builder
	for _, text := range r.Notes {
		fmt.Fprintf(&b, "- %s\n", text)
	}
	if r.Failure != "" {
		fmt.Fprintf(&b, "- failed: %s\n", oneLine(r.Failure))
	}
	for _, e := range r.Losses.Examples {
		if r.Faults.expect(e) {
			continue
		}
		fmt.Fprintf(&b, "- %s %s: %s\n", clock(e.Sent), e.Outcome, oneLine(e.Message))
	}
	if b.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("\n%s:\n\n%s", r.Name, b.String())
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// clock returns the time of day in UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
