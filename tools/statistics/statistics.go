// Package statistics computes the figures that the measuring tools report. It does not know what
// was measured.
package statistics

import (
	"math"
	"slices"
)

// Percentile returns the smallest value that at least a share of the values does not exceed. sorted
// must not be empty.
func Percentile[T any](sorted []T, share float64) T {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// Median returns the middle value, or the mean of the two middle values. It does not change values,
// which must not be empty.
func Median[T ~int | ~int64 | ~float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
