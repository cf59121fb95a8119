package loadtest

import (
	"slices"
	"time"

	"github.com/image-webhook/image-webhook/tools/statistics"
)

// Result has all figures of a run. Durations are in nanoseconds, and sizes in bytes.
type Result struct {
	Options   Options
	Machine   Machine
	Figures   []*Figures
	Servers   []Server
	Footprint *Footprint // nil without the webhook
}

// Figures are the figures of one contender for a path and a review.
type Figures struct {
	Contender, Path, Review string
	Size                    int // of the review
	Rounds                  []Round
	Bytes, Allocations      float64 // per request, with the server in the process of the client
}

// Round has the figures of one round.
type Round struct {
	Throughput float64       // requests per second, without a fixed rate
	CPU        time.Duration // CPU time of the server per request
	ClientCPU  time.Duration // CPU time of the client per request
	Latency    Latency       // without a fixed rate
	Paced      Latency       // with a fixed rate, from the time at which a request was due
	Unsent     int           // requests of the fixed rate that the server was too slow for
}

// Latency has percentiles of latencies.
type Latency struct{ P50, P99 time.Duration }

// newLatency returns the percentiles of latencies, which it sorts.
func newLatency(latencies []time.Duration) Latency {
	slices.Sort(latencies)
	return Latency{statistics.Percentile(latencies, 0.50), statistics.Percentile(latencies, 0.99)}
}

// Server is the resident memory of the process of a contender: before the rounds, its maximum, and
// after the rounds.
type Server struct {
	Contender         string
	Idle, Peak, After int64
}

// Footprint describes the program of the webhook, and a process of it.
type Footprint struct {
	Program      int64           // size of the program
	Starts       []time.Duration // from the start of a process until it is ready
	Connections  int             // of the load
	Idle         int64           // resident memory of a new process
	Loaded, Peak int64           // resident memory at the end of the load, and its maximum
	Settled      int64           // resident memory a while after the load
	SettledAfter time.Duration
}

// figures returns the figures of a contender for a path and a review, and adds missing ones.
func (r *Result) figures(contender, path string, sent review) *Figures {
	if found := r.find(contender, path, sent.name); found != nil {
		return found
	}
	added := &Figures{Contender: contender, Path: path, Review: sent.name, Size: len(sent.body)}
	r.Figures = append(r.Figures, added)
	return added
}

// find returns the figures of a contender for a path and a review, or nil.
func (r *Result) find(contender, path, review string) *Figures {
	i := slices.IndexFunc(r.Figures, func(f *Figures) bool {
		return f.Contender == contender && f.Path == path && f.Review == review
	})
	if i < 0 {
		return nil
	}
	return r.Figures[i]
}

// summary returns a round whose figures are the medians of all rounds.
func (f *Figures) summary() Round {
	return Round{
		Throughput: medianOf(f.Rounds, func(r Round) float64 { return r.Throughput }),
		CPU:        medianOf(f.Rounds, func(r Round) time.Duration { return r.CPU }),
		ClientCPU:  medianOf(f.Rounds, func(r Round) time.Duration { return r.ClientCPU }),
		Latency:    medianLatency(f.Rounds, func(r Round) Latency { return r.Latency }),
		Paced:      medianLatency(f.Rounds, func(r Round) Latency { return r.Paced }),
		Unsent:     medianOf(f.Rounds, func(r Round) int { return r.Unsent }),
	}
}

func medianOf[T int | float64 | time.Duration](rounds []Round, figure func(Round) T) T {
	var values []T
	for _, r := range rounds {
		values = append(values, figure(r))
	}
	return statistics.Median(values)
}

func medianLatency(rounds []Round, latency func(Round) Latency) Latency {
	return Latency{
		P50: medianOf(rounds, func(r Round) time.Duration { return latency(r).P50 }),
		P99: medianOf(rounds, func(r Round) time.Duration { return latency(r).P99 }),
	}
}
