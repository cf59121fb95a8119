package admissioncost

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/statistics"
)

// Latency is the duration of creates, one at a time.
type Latency struct {
	Median, P99 time.Duration
	Added       Interval // median of the differences to the baseline, create by create
}

// measureSequential creates pods one at a time, one of each arm after the other.
func (c *cluster) measureSequential(ctx context.Context, arms []*arm, o Options, step *progress.Step) (latencies []Latency, err error) {
	if _, err := c.timeCreates(ctx, arms, warmUps(o.Iterations), step); err != nil {
		return nil, err
	}
	durations, err := c.timeCreates(ctx, arms, o.Iterations, step)
	if err != nil {
		return nil, err
	}
	for _, values := range durations {
		l := Latency{Added: medianDifference(values, durations[0])}
		sorted := slices.Sorted(slices.Values(values))
		l.Median, l.P99 = statistics.Median(sorted), statistics.Percentile(sorted, 0.99)
		latencies = append(latencies, l)
	}
	return latencies, nil
}

// warmUps returns the number of creates per arm before the measurement.
func warmUps(iterations int) int { return max(iterations/10, 10) }

// timeCreates returns the durations of creates for each arm. Each iteration begins with another
// arm.
func (c *cluster) timeCreates(ctx context.Context, arms []*arm, iterations int, step *progress.Step) ([][]time.Duration, error) {
	durations := make([][]time.Duration, len(arms))
	for i := range iterations {
		for k := range arms {
			n := (i + k) % len(arms)
			duration, err := c.timeCreate(ctx, arms[n])
			if err != nil {
				return nil, err
			}
			durations[n] = append(durations[n], duration)
		}
		step.SetDetail(fmt.Sprintf("%d of %d per arm", i+1, iterations))
	}
	return durations, nil
}
