package admissioncost

import (
	"slices"
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

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		n    int
		q    float64
		want time.Duration
	}{
		{1, 0.99, 1},
		{100, 0.99, 99},
		{101, 0.99, 100},
		{1000, 0.5, 500},
		{10, 0, 1},
		{10, 1, 10},
	} {
		if got := quantile(upTo(tt.n), tt.q); got != tt.want {
			t.Errorf("quantile %g of 1 to %d: got %d, want %d", tt.q, tt.n, got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []time.Duration
		want   time.Duration
	}{
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{9, 1, 4, 6}, 5},
	} {
		if got := median(slices.Clone(tt.values)); got != tt.want {
			t.Errorf("median of %v: got %d, want %d", tt.values, got, tt.want)
		}
	}
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
