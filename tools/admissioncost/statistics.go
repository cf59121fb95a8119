package admissioncost

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/image-webhook/image-webhook/tools/statistics"
)

const (
	resamples  = 2000
	confidence = 0.95
	seed       = 1 // so that the same data have the same interval
)

// Interval is an estimate with its 95% confidence interval.
type Interval struct{ Estimate, Low, High time.Duration }

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
		medians[i] = statistics.Median(sample)
	}
	slices.Sort(medians)
	const tail = (1 - confidence) / 2
	return Interval{statistics.Median(differences), statistics.Percentile(medians, tail), statistics.Percentile(medians, 1-tail)}
}
