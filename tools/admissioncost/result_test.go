package admissioncost

import (
	"strings"
	"testing"
	"time"
)

// newResult returns a result with two arms.
func newResult() *Result {
	column := func(length int, d time.Duration) (column []time.Duration) {
		for range length {
			column = append(column, d)
		}
		return column
	}
	return &Result{
		Options: Options{Iterations: 1000, Clients: 8, Load: 10 * time.Second, Profile: 5 * time.Second},
		Bare:    true, Release: "v1.37.1", CPUs: 2, Date: "2026-11-28", BodySize: 1000, Arms: []string{none, webhook},
		Sequential: []Latency{
			{Median: time.Millisecond, P99: 3 * time.Millisecond},
			{Median: 2 * time.Millisecond, P99: 10 * time.Millisecond, Added: Interval{980 * time.Microsecond, 970 * time.Microsecond, 991 * time.Microsecond}},
		},
		Concurrent: []Throughput{{1234.5, 4 * time.Millisecond}, {700, 12 * time.Millisecond}},
		Parts:      [][]time.Duration{column(len(parts), 0), column(len(parts), 1500*time.Microsecond)},
		Profiles:   [][]time.Duration{column(len(groups), time.Millisecond), column(len(groups), 2*time.Millisecond)},
	}
}

func TestMarkdownTablesAreAligned(t *testing.T) {
	text := newResult().Markdown()
	for _, want := range []string{
		`| arm     |   median |       p99 | added to the median |         95% interval |
| ------- | -------: | --------: | ------------------: | -------------------: |
| none    | 1.000 ms |  3.000 ms |                     |                      |
| webhook | 2.000 ms | 10.000 ms |            0.980 ms | 0.970 ms to 0.991 ms |
`,
		"| - MutatingAdmissionWebhook   |    - | 1.500 ms |\n",
		"| total                         | 15.000 ms | 30.000 ms |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the result does not contain\n%s\nbut is\n%s", want, text)
		}
	}
}

func TestMarkdownOmitsRowsThatNoArmHas(t *testing.T) {
	r := newResult()
	if text := r.Markdown(); strings.Contains(text, pluginNote) {
		t.Errorf("without the arm plugin, the result is\n%s", text)
	}
	r.Arms[1] = plugin
	for i, part := range parts {
		if strings.Contains(part.title, "Policy") {
			r.Parts[1][i] = 0
		}
	}
	text := r.Markdown()
	if strings.Contains(text, "ValidatingAdmissionPolicy") || !strings.Contains(text, "all validating plugins") {
		t.Errorf("the table has rows without figures, or lacks others:\n%s", text)
	}
	if !strings.Contains(text, pluginNote) {
		t.Errorf("the result does not explain the arm plugin:\n%s", text)
	}
}

func TestProfileIsOptional(t *testing.T) {
	r := newResult()
	r.Profiles = nil
	if text := r.Markdown(); strings.Contains(text, "CPU time") {
		t.Errorf("without a profile, the result is\n%s", text)
	}
}
