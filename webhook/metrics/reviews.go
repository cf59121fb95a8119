package metrics

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/image-webhook/image-webhook/webhook/admission"
)

// reviews are the metrics of reviews and of refused requests.
type reviews struct {
	answered   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	disallowed *prometheus.CounterVec
	mirrored   *prometheus.CounterVec
	refused    *prometheus.CounterVec

	byRule map[string]prometheus.Counter // mirrored, by rule
}

// durations are the classic buckets in seconds, from a small pod to the timeout of the API server.
var durations = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}

func newReviews(rules []string) reviews {
	r := reviews{
		answered: counter("reviews_total", "Answered reviews, by verdict: allowed, changed, warned or denied. An ImageReview has no operation.", "path", "operation", "verdict"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "review_duration_seconds",
			Help:    "Time from the header of a request until its answer was written. It is a native histogram with 14 classic buckets.",
			Buckets: durations,
			// A native histogram, for Prometheus servers that scrape it: buckets that grow by 10 %.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"path"}),
		disallowed: counter("images_disallowed_total", "Images that the policy disallows, by reason: tag, no_tag or invalid_reference. The verdict is denied or warned. An object counts at most 1000 images.", "reason", "verdict"),
		mirrored:   counter("images_mirrored_total", "Images that were sent to a mirror, by the rule of --registry-mirrors.", "rule"),
		refused:    counter("requests_refused_total", "Requests that were answered with an HTTP error, by status code. 503 means overload.", "code"),
		byRule:     map[string]prometheus.Counter{},
	}
	for _, rule := range rules {
		r.byRule[rule] = r.mirrored.WithLabelValues(rule)
	}
	for _, status := range refusals {
		r.refused.WithLabelValues(strconv.Itoa(status))
	}
	return r
}

// refusals are the status codes of packages admission and server.
var refusals = []int{400, 401, 404, 405, 408, 413, 415, 503}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func (r *reviews) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.answered, r.duration, r.disallowed, r.mirrored, r.refused}
}

// Refused counts a request that was answered with an HTTP error.
func (r *reviews) Refused(status int) { r.refused.WithLabelValues(strconv.Itoa(status)).Inc() }

// Observe returns the Observer of a path. See admission.Reporting.
func (r *reviews) Observe(path string, operations []string) admission.Observer {
	p := &pathMetrics{reviews: r, operations: operations, duration: r.duration.WithLabelValues(path)}
	for _, operation := range operations {
		var byOutcome []prometheus.Counter
		for _, outcome := range admission.Outcomes() {
			byOutcome = append(byOutcome, r.answered.WithLabelValues(path, operation, outcome.String()))
		}
		p.answered = append(p.answered, byOutcome)
	}
	for _, outcome := range []admission.Outcome{admission.Warned, admission.Denied} {
		p.disallowed[outcome] = r.disallowedBy(outcome)
	}
	return p
}

// reasons are the metrics of disallowed images with the same verdict.
type reasons struct{ tag, noTag, invalid prometheus.Counter }

func (r *reviews) disallowedBy(outcome admission.Outcome) *reasons {
	by := func(reason string) prometheus.Counter { return r.disallowed.WithLabelValues(reason, outcome.String()) }
	return &reasons{by("tag"), by("no_tag"), by("invalid_reference")}
}

// pathMetrics are the metrics of one path. It finds them without a look-up by label.
type pathMetrics struct {
	*reviews
	operations []string
	answered   [][]prometheus.Counter // by operation and outcome
	duration   prometheus.Observer
	disallowed [admission.Denied + 1]*reasons // nil for outcomes without disallowed images
}

// Answered implements admission.Observer.
func (p *pathMetrics) Answered(s *admission.Summary) {
	p.duration.Observe(s.Took.Seconds())
	if i := slices.Index(p.operations, s.Operation); i >= 0 {
		p.answered[i][s.Outcome].Inc()
	}
	if by := p.disallowed[s.Outcome]; by != nil {
		by.tag.Add(float64(s.Disallowed.Tag))
		by.noTag.Add(float64(s.Disallowed.NoTag))
		by.invalid.Add(float64(s.Disallowed.Invalid))
	}
	p.countRules(s.Changes)
}

// countRules counts the changes by rule. Neighbors often have the same rule.
func (p *pathMetrics) countRules(changes []admission.Change) {
	for len(changes) > 0 {
		rule := changes[0].Rule
		n := slices.IndexFunc(changes, func(c admission.Change) bool { return c.Rule != rule })
		if n < 0 {
			n = len(changes)
		}
		if counter := p.byRule[rule]; counter != nil {
			counter.Add(float64(n))
		}
		changes = changes[n:]
	}
}
