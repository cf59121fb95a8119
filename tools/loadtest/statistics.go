package loadtest

import (
	"cmp"
	"math"
	"slices"
)

// percentile returns the smallest value that at least a share of the values does not exceed. sorted
// must not be empty.
func percentile[T any](sorted []T, share float64) T {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// median returns the middle value; of an even number of values, the lower of the two. values must
// not be empty.
func median[T cmp.Ordered](values []T) T {
	return percentile(slices.Sorted(slices.Values(values)), 0.5)
}
