package admissioncost

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/statistics"
)

// Throughput is the result of concurrent creates.
type Throughput struct {
	PerSecond float64
	P99       time.Duration
}

// rounds is the number of times that each arm gets the load. Rounds of the arms alternate.
const rounds = 5

// measureConcurrent creates pods with several clients at the same time, in one arm after the other.
// A round of each arm before the first one is not counted: it opens the connections.
func (c *cluster) measureConcurrent(ctx context.Context, arms []*arm, o Options, step *progress.Step) (results []Throughput, err error) {
	durations := make([][]time.Duration, len(arms))
	elapsed := make([]time.Duration, len(arms))
	for round := range rounds + 1 {
		for k := range arms {
			n := (round + k) % len(arms)
			step.SetDetail(fmt.Sprintf("round %d of %d, %s", round, rounds, arms[n].name))
			started := time.Now()
			found, err := c.load(ctx, arms[n], o.Clients, o.Load/rounds)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				durations[n] = append(durations[n], found...)
				elapsed[n] += time.Since(started)
			}
		}
	}
	for n, all := range durations {
		slices.Sort(all)
		results = append(results, Throughput{float64(len(all)) / elapsed[n].Seconds(), statistics.Percentile(all, 0.99)})
	}
	return results, nil
}

// load creates pods with several clients for a while, and returns the durations. Each client creates
// at least one pod.
func (c *cluster) load(ctx context.Context, a *arm, clients int, limit time.Duration) ([]time.Duration, error) {
	running, stop := context.WithTimeout(ctx, limit)
	defer stop()
	return c.loadWhile(ctx, running, a, clients)
}

// loadWhile is load that ends with the context running.
func (c *cluster) loadWhile(ctx, running context.Context, a *arm, clients int) ([]time.Duration, error) {
	durations := make([][]time.Duration, clients)
	group, ctx := errgroup.WithContext(ctx)
	for n := range clients {
		group.Go(func() error {
			for {
				duration, err := c.timeCreate(ctx, a)
				if err != nil {
					return err
				}
				durations[n] = append(durations[n], duration)
				if running.Err() != nil {
					return nil
				}
			}
		})
	}
	err := group.Wait()
	return slices.Concat(durations...), err
}
