package chaos

import (
	"slices"
	"sync"
	"time"

	"github.com/image-webhook/image-webhook/tools/statistics"
)

// tally counts the results of a load, by phase. Several goroutines may use it.
type tally struct {
	mu     sync.Mutex
	phases []*phase
	losses Losses
}

// phase has the results of a part of the load. The mutex of the tally guards it.
type phase struct {
	counts    [outcomes]int
	latencies []time.Duration // of all answers
}

// Losses describes what was lost, and the failures of the API server itself.
type Losses struct {
	All      []Loss
	Examples []Loss // the first ones with different messages
}

// Loss is one request.
type Loss struct {
	Sent    time.Time
	Took    time.Duration // until the answer
	Outcome outcome
	Message string
}

// maxExamples limits the examples of an event.
const maxExamples = 5

func newTally() *tally { return &tally{phases: []*phase{{}}} }

// next begins another phase.
func (t *tally) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, &phase{})
}

func (t *tally) current() *phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phases[len(t.phases)-1]
}

// record adds the result of a request that was sent in a phase.
func (t *tally) record(p *phase, sent time.Time, took time.Duration, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.counts[v.outcome]++
	if v.outcome != noAnswer {
		p.latencies = append(p.latencies, took)
	}
	if v.message != "" {
		t.losses.add(Loss{sent, took, v.outcome, v.message})
	}
}

// add records a loss.
func (l *Losses) add(loss Loss) {
	l.All = append(l.All, loss)
	known := slices.ContainsFunc(l.Examples, func(e Loss) bool { return e.Message == loss.Message })
	if !known && len(l.Examples) < maxExamples {
		l.Examples = append(l.Examples, loss)
	}
}

// figures returns the figures of all phases, and the losses.
func (t *tally) figures() (figures []Figures, lost Losses) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.phases {
		figures = append(figures, p.figures())
	}
	return figures, t.losses
}

func (p *phase) figures() Figures {
	f := Figures{Counts: p.counts}
	if sorted := slices.Sorted(slices.Values(p.latencies)); len(sorted) > 0 {
		f.P50, f.P99 = statistics.Percentile(sorted, 0.50), statistics.Percentile(sorted, 0.99)
	}
	return f
}

// Figures are the results of a phase.
type Figures struct {
	Counts   [outcomes]int
	P50, P99 time.Duration // of the time until the answer
}
