package chaos

import (
	"fmt"
	"slices"
	"time"
)

// Faults are the times at which an event broke something that the webhook cannot prevent, such as
// the death of a process. For a limited time after each, creates may be refused or not mirrored.
type Faults struct {
	Bound time.Duration // 0: nothing may be lost
	At    []time.Time
	// Hybrid is whether a policy denies, so that no fault explains a pod that was refused.
	Hybrid bool
}

// fault records that something is broken now.
func (r *run) fault() { r.faults = append(r.faults, time.Now()) }

// explain reports whether a loss comes from a fault: the request was in progress when it happened,
// or was sent within the bound after it. No fault explains a pod that was not denied.
func (f Faults) explain(l Loss) bool {
	if l.Outcome != notMirrored && (l.Outcome != refused || f.Hybrid) {
		return false
	}
	return slices.ContainsFunc(f.At, func(at time.Time) bool {
		return !l.Sent.After(at.Add(f.Bound)) && !l.Sent.Add(l.Took).Before(at)
	})
}

// expect reports whether a fault explains a result: a loss, or that the API server did not answer.
func (f Faults) expect(l Loss) bool {
	return f.explain(l) || l.Outcome == noAnswer && len(f.At) > 0
}

// lostFor returns how long after a fault the last create that was lost was sent, and the bound, such
// as "1.4 of 5 s"; "-" if no fault explains a loss.
func (f Faults) lostFor(all []Loss) string {
	longest, found := time.Duration(0), false
	for _, l := range all {
		for _, at := range slices.Backward(f.At) {
			if f.explain(l) && !at.After(l.Sent.Add(l.Took)) {
				longest, found = max(longest, l.Sent.Sub(at)), true
				break
			}
		}
	}
	if !found {
		return "-"
	}
	return fmt.Sprintf("%.1f of %.0f s", longest.Seconds(), f.Bound.Seconds())
}
