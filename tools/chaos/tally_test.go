package chaos

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestTallyCountsPerPhase(t *testing.T) {
	tally := newTally()
	for i := range 100 {
		tally.record(tally.current(), noon, time.Duration(100-i)*time.Millisecond, verdict{outcome: mirrored})
	}
	before := tally.current()
	tally.next()
	tally.record(before, noon, time.Second, verdict{denied, ""}) // sent before the event, answered during it
	tally.record(tally.current(), noon, time.Second, verdict{refused, "timeout"})
	tally.record(tally.current(), noon, time.Hour, verdict{noAnswer, "refused"})
	tally.next()
	got, _ := tally.figures()
	want := []Figures{
		{Counts: [outcomes]int{mirrored: 100, denied: 1}, P50: 51 * time.Millisecond, P99: 100 * time.Millisecond},
		{Counts: [outcomes]int{refused: 1, noAnswer: 1}, P50: time.Second, P99: time.Second},
		{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestTallyKeepsTheFirstExamplesOfLosses(t *testing.T) {
	tally := newTally()
	record := func(seconds int, v verdict) {
		tally.record(tally.current(), noon.Add(time.Duration(seconds)*time.Second), time.Millisecond, v)
	}
	record(1, verdict{refused, "a"})
	record(0, verdict{refused, "a"}) // sent earlier, answered later
	for i, message := range []string{"b", "c", "b", "d", "e", "f"} {
		record(2+i, verdict{notMirrored, message})
	}
	record(90, verdict{outcome: denied})
	_, got := tally.figures()
	want := []Loss{
		{noon.Add(time.Second), time.Millisecond, refused, "a"},
		{noon.Add(2 * time.Second), time.Millisecond, notMirrored, "b"},
		{noon.Add(3 * time.Second), time.Millisecond, notMirrored, "c"},
		{noon.Add(5 * time.Second), time.Millisecond, notMirrored, "d"},
		{noon.Add(6 * time.Second), time.Millisecond, notMirrored, "e"},
	}
	if diff := cmp.Diff(want, got.Examples); diff != "" {
		t.Errorf("examples (-want +got):\n%s", diff)
	}
	if len(got.All) != 8 {
		t.Errorf("got %d losses, want 8", len(got.All))
	}
}

func TestTallyIsSafeForConcurrentUse(t *testing.T) {
	const goroutines, each = 8, 100
	tally := newTally()
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			for range each {
				tally.record(tally.current(), noon, time.Millisecond, verdict{refused, "x"})
			}
		})
	}
	tally.next()
	running.Wait()
	figures, _ := tally.figures()
	if got := figures[0].Counts[refused] + figures[1].Counts[refused]; got != goroutines*each {
		t.Errorf("counted %d, want %d", got, goroutines*each)
	}
}
