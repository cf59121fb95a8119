package admissioncost

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// Result is a measurement. Its slices have an element for each arm.
type Result struct {
	Options
	Bare       bool   // the API server of `bin/controlplane`; otherwise, a cluster
	Release    string // Kubernetes version
	CPUs       int    // of this machine
	Date       string
	BodySize   int // bytes of the pod
	Arms       []string
	Sequential []Latency
	Parts      [][]time.Duration // by part
	Concurrent []Throughput
	Profiles   [][]time.Duration // by group; nil: not measured
}

// pluginNote says how to read the figures of the arm plugin.
const pluginNote = "\nThe plugin ImagePolicyWebhook applies to the pods of all arms: each create pays for a hit in the cache of its\n" +
	"answers, also in `none`, but in `plugin` each pod has another image, so that the API server calls the webhook.\n"

// Markdown returns the result as Markdown tables that are also aligned as text.
func (r *Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Kubernetes %s, client on a machine with %d CPUs, %s. The pod has three containers and %d bytes.\n", r.Release, r.CPUs, r.Date, r.BodySize)
	if slices.Contains(r.Arms, plugin) {
		b.WriteString(pluginNote)
	}
	fmt.Fprintf(&b, "\n**One client**, %d creates per arm:\n\n%s", r.Iterations, r.sequentialTable())
	fmt.Fprintf(&b, "\n**%d clients**, %s per arm:\n\n%s", r.Clients, r.Load, r.concurrentTable())
	fmt.Fprintf(&b, "\n**Time in admission plugins** per create, as the API server measures it, with one client:\n\n%s", r.partsTable())
	if r.Profiles != nil {
		fmt.Fprintf(&b, "\n**CPU time of the API server** per create, from a profile of %s per arm, with %d clients. A sample belongs to\nthe first group that has a function in its stack.\n\n%s", r.Profile, r.Clients, r.profileTable())
	}
	return b.String()
}

func (r *Result) sequentialTable() string {
	rows := [][]string{{"arm", "median", "p99", "added to the median", "95% interval"}}
	for i, l := range r.Sequential {
		row := []string{r.Arms[i], milliseconds(l.Median), milliseconds(l.P99), "", ""}
		if i > 0 {
			row[3] = milliseconds(l.Added.Estimate)
			row[4] = milliseconds(l.Added.Low) + " to " + milliseconds(l.Added.High)
		}
		rows = append(rows, row)
	}
	return markdown.Table(rows)
}

func (r *Result) concurrentTable() string {
	rows := [][]string{{"arm", "creates per second", "p99"}}
	for i, t := range r.Concurrent {
		rows = append(rows, []string{r.Arms[i], fmt.Sprintf("%.0f", t.PerSecond), milliseconds(t.P99)})
	}
	return markdown.Table(rows)
}

func (r *Result) partsTable() string {
	var titles []string
	for _, part := range parts {
		titles = append(titles, part.title)
	}
	return markdown.Table(r.perArm("part", titles, r.Parts))
}

func (r *Result) profileTable() string {
	var titles []string
	for _, group := range groups {
		titles = append(titles, group.title)
	}
	titles = append(titles, "total")
	var columns [][]time.Duration
	for _, times := range r.Profiles {
		var sum time.Duration
		for _, t := range times {
			sum += t
		}
		columns = append(columns, append(times, sum))
	}
	return markdown.Table(r.perArm("group", titles, columns))
}

// perArm returns the rows of a table with a column of durations for each arm, without rows that no arm has.
func (r *Result) perArm(heading string, titles []string, columns [][]time.Duration) [][]string {
	rows := [][]string{append([]string{heading}, r.Arms...)}
	for i, title := range titles {
		row := []string{title}
		used := false
		for _, column := range columns {
			row = append(row, milliseconds(column[i]))
			used = used || column[i] != 0
		}
		if used {
			rows = append(rows, row)
		}
	}
	return rows
}

// milliseconds returns a duration for a table, where zero means that there is nothing to measure.
func milliseconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}
