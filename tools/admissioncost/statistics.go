package admissioncost

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	resamples  = 2000
	confidence = 0.95
	seed       = 1 // so that the same data have the same interval
)

// Interval is an estimate with its 95% confidence interval.
type Interval struct{ Estimate, Low, High time.Duration }

// quantile returns the smallest value that at least a share q of the values does not exceed.
// values must be sorted and not empty.
func quantile(values []time.Duration, q float64) time.Duration {
	i := int(math.Ceil(q*float64(len(values)))) - 1
	return values[max(i, 0)]
}

// median returns the middle value, or the mean of the two middle values. It sorts values, which
// must not be empty.
func median(values []time.Duration) time.Duration {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// medianDifference returns the median of the differences between pairs of values, with a bootstrap
// interval. a and b must have the same length and not be empty.
func medianDifference(a, b []time.Duration) Interval {
	differences := make([]time.Duration, len(a))
	for i := range a {
		differences[i] = a[i] - b[i]
	}
	random := rand.New(rand.NewPCG(seed, seed))
	sample, medians := make([]time.Duration, len(differences)), make([]time.Duration, resamples)
	for i := range medians {
		for k := range sample {
			sample[k] = differences[random.IntN(len(differences))]
		}
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	const tail = (1 - confidence) / 2
	return Interval{median(differences), quantile(medians, tail), quantile(medians, 1-tail)}
}
