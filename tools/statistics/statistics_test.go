package statistics

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// upTo returns the numbers 1 to n.
func upTo(n int) (values []int) {
	for i := range n {
		values = append(values, i+1)
	}
	return values
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	for _, test := range []struct {
		sorted []int
		share  float64
		want   int
	}{
		{[]int{7}, 0, 7}, {[]int{7}, 0.5, 7}, {[]int{7}, 1, 7},
		{[]int{1, 2}, 0.5, 1}, {[]int{1, 2}, 0.51, 2}, {[]int{1, 2, 3}, 0.5, 2},
		{upTo(10), 0, 1}, {upTo(100), 0.5, 50}, {upTo(100), 0.99, 99}, {upTo(100), 0.991, 100},
		{upTo(100), 1, 100}, {upTo(101), 0.99, 100}, {upTo(1000), 0.5, 500},
	} {
		if got := Percentile(test.sorted, test.share); got != test.want {
			t.Errorf("Percentile of %d values, %g = %d, want %d", len(test.sorted), test.share, got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 4, 6}, 5},
		{[]float64{1, 2}, 1.5},
	} {
		if got := Median(test.values); got != test.want {
			t.Errorf("Median of %v = %g, want %g", test.values, got, test.want)
		}
	}
}

func TestMedianKeepsTheOrderOfItsValues(t *testing.T) {
	values := []int{5, 1, 4, 2, 3}
	Median(values)
	if diff := cmp.Diff([]int{5, 1, 4, 2, 3}, values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}
