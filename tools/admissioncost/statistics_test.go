package admissioncost

import (
	"testing"
	"time"
)

// upTo returns the durations 1 to n.
func upTo(n int) (values []time.Duration) {
	for i := range n {
		values = append(values, time.Duration(i+1))
	}
	return values
}

func TestMedianDifferencePairsValues(t *testing.T) {
	// The values drift more than the arms differ.
	a, b := make([]time.Duration, 210), make([]time.Duration, 210)
	for i := range a {
		b[i] = time.Duration(i) * time.Millisecond
		a[i] = b[i] + 100*time.Microsecond + time.Duration(i%21-10)*time.Microsecond
	}
	got := medianDifference(a, b)
	if got.Estimate != 100*time.Microsecond {
		t.Errorf("got the median %s, want 100µs", got.Estimate)
	}
	if got.Low > got.Estimate || got.High < got.Estimate || got.High-got.Low > 5*time.Microsecond || got.High == got.Low {
		t.Errorf("got the interval %s to %s, want at most 5µs around 100µs", got.Low, got.High)
	}
	if again := medianDifference(a, b); again != got {
		t.Errorf("the same data have the interval %v, then %v", got, again)
	}
}

func TestMedianDifferenceOfEqualValues(t *testing.T) {
	if got := medianDifference(upTo(9), upTo(9)); got != (Interval{}) {
		t.Errorf("got %v, want zero", got)
	}
}
