package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newReport returns a report of two events, of which the second one failed.
func newReport() *Report {
	quiet := Figures{Counts: [outcomes]int{mirrored: 400, denied: 400}, P50: 4100 * time.Microsecond, P99: 12 * time.Millisecond}
	busy := Figures{Counts: [outcomes]int{mirrored: 700, denied: 650, refused: 325, notMirrored: 3, noAnswer: 2}, P50: 9940 * time.Microsecond, P99: 5003 * time.Millisecond}
	return &Report{
		Options: Options{Rate: 10, Store: 5}, Release: "v1.37.1", CPUs: 2, Date: "2026-01-31", Minimum: 1000,
		Rows: []Row{
			{Name: "rollout-1", Lasted: 19400 * time.Millisecond, Phases: []Figures{quiet, quiet, quiet}},
			{
				Name: "03-rollout-06", Lasted: 43 * time.Second, Phases: []Figures{quiet, busy, {}},
				Notes: []string{"the Job was killed after: staged"}, Failure: "run the Job:\n  timeout",
				Losses: Losses{
					All:      []Loss{{Sent: noon.Add(18 * time.Second), Outcome: refused}, {Sent: noon, Outcome: refused}},
					Examples: []Loss{{noon, 0, refused, "explained"}, {noon.Add(18 * time.Second), 0, refused, "failed calling\nwebhook"}, {noon, 0, noAnswer, "expected"}},
				},
				Faults: Faults{Bound: time.Second, At: []time.Time{noon.Add(-400 * time.Millisecond)}},
			},
		},
	}
}

func TestReportShowsAllEvents(t *testing.T) {
	const want = "Kubernetes v1.37.1 on a machine with 2 CPUs, 2026-01-31. 8 clients, each with up to 10 creates per second; 5% of the\n" +
		`pods are stored. Latencies are in milliseconds: before, during
and after the event. Lost for: how long after a fault creates were lost, and for how long they may be.

| event         | creates | refused | not mirrored | not denied | no answer |   lost for | seconds |             p50 |           p99 |
| ------------- | ------: | ------: | -----------: | ---------: | --------: | ---------: | ------: | --------------: | ------------: |
| rollout-1     |    2400 |       0 |            0 |          0 |         0 |          - |      19 | 4.1 / 4.1 / 4.1 |  12 / 12 / 12 |
| 03-rollout-06 |    2478 |     325 |            3 |          0 |         2 | 0.4 of 1 s |      43 |   4.1 / 9.9 / - | 12 / 5003 / - |
| total         |    4878 |     325 |            3 |          0 |         2 |            |         |                 |               |

03-rollout-06:

- the Job was killed after: staged
- failed: run the Job: timeout
- 12:00:18.000 refused: failed calling webhook
`
	if diff := cmp.Diff(want, newReport().Markdown()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestReportOfSoakShowsRenewals(t *testing.T) {
	period := Figures{Counts: [outcomes]int{mirrored: 24000, denied: 24000}, P50: 4 * time.Millisecond, P99: 9 * time.Millisecond}
	r := &Report{Soak: true, Rows: []Row{
		{Name: "0-10", Phases: []Figures{period}, Renewals: 2},
		{Name: "10-20", Phases: []Figures{period}, Renewals: 1},
	}}
	const want = `
| minutes | creates | refused | not mirrored | not denied | no answer | renewals | p50 | p99 |
| ------- | ------: | ------: | -----------: | ---------: | --------: | -------: | --: | --: |
| 0-10    |   48000 |       0 |            0 |          0 |         0 |        2 | 4.0 | 9.0 |
| 10-20   |   48000 |       0 |            0 |          0 |         0 |        1 | 4.0 | 9.0 |
| total   |   96000 |       0 |            0 |          0 |         0 |        3 |     |     |
`
	if got := r.Markdown(); !strings.HasSuffix(got, want) {
		t.Errorf("report:\n%s\nwant at its end:\n%s", got, want)
	}
}

func TestReportFailsForLossesAndFailures(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Report)
		want   string
	}{
		{"both", func(*Report) {}, "event 03-rollout-06: run the Job:\n  timeout\n327 of 4878 creates were lost: the table names the events"},
		{"losses", func(r *Report) { r.Rows[1].Failure = "" }, "327 of 4878 creates were lost: the table names the events"},
		{"nothing lost", func(r *Report) { r.Rows = r.Rows[:1] }, ""},
		{"no answers of the API server", func(r *Report) { r.Rows = r.Rows[:1]; r.Rows[0].Phases[1].Counts[noAnswer] = 9 }, ""},
		{"few creates", func(r *Report) { r.Rows, r.Minimum = r.Rows[:1], 10_000 }, "only 2400 creates: a complete run has at least 10000: use a higher --rate"},
	} {
		r := newReport()
		test.change(r)
		got := ""
		if err := r.Err(); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestEachLossFailsTheReport(t *testing.T) {
	for o := range outcomes {
		f := Figures{}
		f.Counts[o] = 1
		r := &Report{Rows: []Row{{Phases: []Figures{f}}}}
		want := o == refused || o == notMirrored || o == notDenied
		if got := r.Err() != nil; got != want {
			t.Errorf("one create with the outcome %q: failed %t, want %t", o, got, want)
		}
	}
}

func TestWriteReplacesOnlyTheSection(t *testing.T) {
	for name, hybrid := range map[string]bool{"chaos": false, "hybrid chaos": true} {
		file := filepath.Join(t.TempDir(), "report.md")
		r := newReport()
		r.Hybrid = hybrid
		for range 2 { // a new file, then the same file
			if err := CheckOutput(file, false); err != nil {
				t.Fatal(err)
			}
			if err := r.Write(file); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := "<!-- begin " + name + ": written by `bin/chaos` -->\n\n" + r.Markdown() + "\n<!-- end " + name + " -->\n"
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
		}
		if err := CheckOutput(file, true); err == nil || !strings.Contains(err.Error(), `"<!-- begin soak: written by COMMAND -->" is on 0 lines`) {
			t.Errorf("CheckOutput of a file without the section: %v", err)
		}
	}
}
