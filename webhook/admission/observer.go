package admission

import "time"

// Observer learns what the handler of a path does, for metrics. Several goroutines call it.
type Observer interface {
	// Answered is called after an answer. The summary is valid until it returns.
	Answered(*Summary)
	// Refused is called after an HTTP error.
	Refused(status int)
}

// Summary describes an answered review.
type Summary struct {
	Operation  string // CREATE or UPDATE; empty in an ImageReview, which has no operation
	Outcome    Outcome
	Took       time.Duration // from the header of the request to the end of the answer
	Disallowed Disallowed
	Changes    []Change
}

// Outcome is what a user notices of an answer.
type Outcome int

const (
	Allowed Outcome = iota
	Changed         // allowed with a change
	Warned          // allowed with a warning, regardless of changes
	Denied
	outcomes // the number of outcomes
)

// Outcomes returns all outcomes.
func Outcomes() (all []Outcome) {
	for o := range outcomes {
		all = append(all, o)
	}
	return all
}

// String returns the name of the outcome in metrics.
func (o Outcome) String() string { return [...]string{"allowed", "changed", "warned", "denied"}[o] }

// unobserved ignores everything.
type unobserved struct{}

func (unobserved) Answered(*Summary) {}
func (unobserved) Refused(int)       {}
