package chaos

import (
	"testing"
	"time"
)

func TestFaultsExplainLosses(t *testing.T) {
	faults := Faults{Bound: 5 * time.Second, At: []time.Time{noon, noon.Add(time.Minute)}}
	tests := []struct {
		name string
		sent time.Duration // after noon
		took time.Duration
		lost outcome
		want bool
	}{
		{"answered before the fault", -2 * time.Second, time.Second, refused, false},
		{"in progress at the time of the fault", -2 * time.Second, 3 * time.Second, refused, true},
		{"after the fault", 4 * time.Second, 10 * time.Second, notMirrored, true},
		{"too late", 6 * time.Second, 0, refused, false},
		{"after the second fault", 63 * time.Second, 0, refused, true},
		{"not denied", time.Second, 0, notDenied, false},
	}
	for _, test := range tests {
		loss := Loss{Sent: noon.Add(test.sent), Took: test.took, Outcome: test.lost}
		if got := faults.explain(loss); got != test.want {
			t.Errorf("%s: explained %t, want %t", test.name, got, test.want)
		}
	}
	faults.Hybrid = true
	for lost, want := range map[outcome]bool{refused: false, notMirrored: true, notDenied: false} {
		if got := faults.explain(Loss{Sent: noon, Outcome: lost}); got != want {
			t.Errorf("hybrid form, %s: explained %t, want %t", lost, got, want)
		}
	}
	if (Faults{}).explain(Loss{Sent: noon, Outcome: refused}) {
		t.Error("a loss is explained without a fault")
	}
}

func TestLostForMeasuresFromTheLastFault(t *testing.T) {
	faults := Faults{Bound: 5 * time.Second, At: []time.Time{noon, noon.Add(10 * time.Second)}}
	losses := []Loss{
		{Sent: noon.Add(1400 * time.Millisecond), Outcome: refused},
		{Sent: noon.Add(12500 * time.Millisecond), Outcome: refused},
		{Sent: noon.Add(time.Minute), Outcome: refused}, // not explained
	}
	if got, want := faults.lostFor(losses), "2.5 of 5 s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := faults.lostFor(losses[2:]); got != "-" {
		t.Errorf("got %q, want -", got)
	}
}
