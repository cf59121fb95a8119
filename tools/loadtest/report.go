package loadtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/image-webhook/image-webhook/tools/statistics"
)

// Text returns all figures as aligned tables.
func (r *Result) Text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n%s\n", r.Machine, r.method())
	for _, t := range r.tables() {
		fmt.Fprintf(&out, "\n%s\n%s", t.title, t.text())
	}
	return out.String()
}

// Markdown returns all figures for a page. It shows the table of the headline review, and folds the
// tables of the other reviews. plot is the file of the plot.
func (r *Result) Markdown(plot string) string {
	var out, others strings.Builder
	fmt.Fprintf(&out, "%s\n\n%s\n\n![Requests per second of each server](%s)\n", r.Machine, r.method(), plot)
	for _, review := range r.reviews() {
		t, into := r.reviewTable(review), &others
		if review == Headline {
			into = &out
		}
		fmt.Fprintf(into, "\n**%s**\n\n%s", t.title, t.markdown())
	}
	if others.Len() > 0 {
		fmt.Fprintf(&out, "\n<details>\n<summary>The other reviews</summary>\n%s\n</details>\n", others.String())
	}
	for _, t := range r.memoryTables() {
		fmt.Fprintf(&out, "\n**%s**\n\n%s", t.title, t.markdown())
	}
	return out.String()
}

// method describes the loads.
func (r *Result) method() string {
	return fmt.Sprintf("Medians of %s of %s per server, path and review. %d connections, and a fixed rate of %d requests/s.",
		plural(r.Options.Rounds, "round"), r.Options.Duration, r.Options.Connections, r.Options.Rate)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// tables returns the tables in their order.
func (r *Result) tables() (all []table) {
	for _, review := range r.reviews() {
		all = append(all, r.reviewTable(review))
	}
	return append(all, r.memoryTables()...)
}

// reviews returns the names of the measured reviews.
func (r *Result) reviews() (names []string) {
	seen := map[string]bool{}
	for _, f := range r.Figures {
		if !seen[f.Review] {
			seen[f.Review] = true
			names = append(names, f.Review)
		}
	}
	return names
}

// reviewTable returns the table of a review, with a row for each path of a contender.
func (r *Result) reviewTable(review string) table {
	rate := fmt.Sprintf(" at %d/s", r.Options.Rate)
	t := table{header: []string{
		"server", "requests/s", "of the floor", "p50", "p99", "p50" + rate, "p99" + rate,
		"CPU/request", "allocated/request", "allocations/request",
	}}
	floor := r.find(Floor, anyPath, review)
	for _, name := range ContenderNames() {
		for _, path := range []string{anyPath, mutating, validating} {
			if f := r.find(name, path, review); f != nil {
				t.title = fmt.Sprintf("%s (%s)", review, formatSize(float64(f.Size)))
				t.rows = append(t.rows, r.row(f, floor))
			}
		}
	}
	return t
}

// row returns the row of figures. floor can be nil.
func (r *Result) row(f, floor *Figures) []string {
	s := f.summary()
	return []string{
		f.label(), r.throughput(f), r.share(f, floor),
		formatDuration(s.Latency.P50), formatDuration(s.Latency.P99), r.paced(s, s.Paced.P50), r.paced(s, s.Paced.P99),
		formatDuration(s.CPU), formatSize(f.Bytes), formatCount(f.Allocations),
	}
}

// label names a path of a contender.
func (f *Figures) label() string {
	if f.Path == anyPath {
		return f.Contender
	}
	return f.Contender + " " + f.Path
}

// throughput returns the requests per second. If the client is the limit, the server can answer more.
func (r *Result) throughput(f *Figures) string {
	text := formatCount(f.summary().Throughput)
	if r.isClientLimit(f) {
		return "> " + text
	}
	return text
}

// isClientLimit reports whether the client uses nearly as much of its CPUs as the server of its own.
func (r *Result) isClientLimit(f *Figures) bool {
	const nearly = 0.9
	s := f.summary()
	return float64(s.ClientCPU)/float64(r.Machine.clientCPUs()) > nearly*float64(s.CPU)
}

// share returns the throughput as a share of the floor.
func (r *Result) share(f, floor *Figures) string {
	if floor == nil {
		return "–"
	}
	text := fmt.Sprintf("%.0f%%", 100*f.summary().Throughput/floor.summary().Throughput)
	if f != floor && r.isClientLimit(floor) {
		return "< " + text
	}
	return text
}

// paced returns a latency at the fixed rate, unless the server was too slow for the rate: then the
// latency only depends on the duration.
func (r *Result) paced(s Round, latency time.Duration) string {
	const tolerated = 20 // one of so many requests
	due := load{duration: r.Options.Duration, rate: r.Options.Rate}.due()
	if s.Unsent > due/tolerated {
		return "too slow"
	}
	return formatDuration(latency)
}

// memoryTables returns the tables of the memory and the start.
func (r *Result) memoryTables() (all []table) {
	servers := table{
		title:  "Resident memory of the servers",
		header: []string{"server", "before the load", "maximum", "increase", "after the load"},
	}
	for _, s := range r.Servers {
		row := []string{s.Contender}
		for _, size := range []int64{s.Idle, s.Peak, s.Peak - s.Idle, s.After} {
			row = append(row, formatSize(float64(size)))
		}
		servers.rows = append(servers.rows, row)
	}
	all = append(all, servers)
	if r.Footprint != nil {
		all = append(all, r.Footprint.table())
	}
	return all
}

func (f *Footprint) table() table {
	return table{
		title:  "Start and memory of " + Webhook,
		header: []string{"figure", "value"},
		rows: [][]string{
			{"program", formatSize(float64(f.Program))},
			{fmt.Sprintf("start until ready, median of %d", len(f.Starts)), formatDuration(statistics.Median(f.Starts))},
			{"resident memory, new process", formatSize(float64(f.Idle))},
			{fmt.Sprintf("resident memory, load on %d connections", f.Connections), formatSize(float64(f.Loaded))},
			{fmt.Sprintf("maximum, load on %d connections", f.Connections), formatSize(float64(f.Peak))},
			{fmt.Sprintf("resident memory, %.0f s after the load", f.SettledAfter.Seconds()), formatSize(float64(f.Settled))},
		},
	}
}
