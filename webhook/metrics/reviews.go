package metrics

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// reviews are the metrics of reviews and of refused requests.
type reviews struct {
	answered   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	disallowed *prometheus.CounterVec
	mirrored   *prometheus.CounterVec
	refused    *prometheus.CounterVec

	byRule atomic.Pointer[map[string]prometheus.Counter] // mirrored, by rule
}

// durations are the classic buckets in seconds, from a small pod to the timeout of the API server.
var durations = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}

func newReviews() *reviews {
	r := &reviews{
		answered: counter("reviews_total", "Answered reviews, by verdict: allowed, changed, warned or denied. An ImageReview has no operation.", "path", "operation", "verdict"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "review_duration_seconds",
			Help:    "Time from the header of a request until its answer was written. It is a native histogram with 14 classic buckets.",
			Buckets: durations,
			// A native histogram, for Prometheus servers that scrape it: buckets that grow by 10 %.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"path"}),
		disallowed: counter("images_disallowed_total", "Images that the policy disallows, by the first rule that they break: denied_image, registry, digest, tag, no_tag or invalid_reference. The verdict is denied or warned. An object counts at most 1000 images.", "reason", "verdict"),
		mirrored:   counter("images_mirrored_total", "Images that were sent to a mirror, by rule. Rules after the first 100 count as other.", "rule"),
		refused:    counter("requests_refused_total", "Requests that were answered with an HTTP error, by status code. 503 means overload.", "code"),
	}
	for _, status := range refusals {
		r.refused.WithLabelValues(strconv.Itoa(status))
	}
	return r
}

const (
	maxRules  = 100     // with a series of their own
	otherRule = "other" // the label of further rules
)

// SetRules sets the mirror rules that are applied, and whose images are counted. The series of former
// rules stay: a series that ends looks like a restart.
func (r *reviews) SetRules(rules []string) {
	byRule := map[string]prometheus.Counter{}
	for i, rule := range rules {
		label := rule
		if i >= maxRules {
			label = otherRule
		}
		byRule[rule] = r.mirrored.WithLabelValues(label)
	}
	r.byRule.Store(&byRule)
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

// disallowedImages are the metrics of disallowed images with the same verdict, by the rule that they break.
type disallowedImages [image.Rules]prometheus.Counter

func (r *reviews) disallowedBy(outcome admission.Outcome) *disallowedImages {
	var counters disallowedImages
	for rule := range counters {
		counters[rule] = r.disallowed.WithLabelValues(image.Rule(rule).String(), outcome.String())
	}
	return &counters
}

// pathMetrics are the metrics of one path. It finds them without a look-up by label.
type pathMetrics struct {
	*reviews
	operations []string
	answered   [][]prometheus.Counter // by operation and outcome
	duration   prometheus.Observer
	disallowed [admission.Denied + 1]*disallowedImages // nil for outcomes without disallowed images
}

// Answered implements admission.Observer.
func (p *pathMetrics) Answered(s *admission.Summary) {
	p.duration.Observe(s.Took.Seconds())
	if i := slices.Index(p.operations, s.Operation); i >= 0 {
		p.answered[i][s.Outcome].Inc()
	}
	if by := p.disallowed[s.Outcome]; by != nil {
		for rule, images := range s.Disallowed.Rules {
			if images > 0 {
				by[rule].Add(float64(images))
			}
		}
	}
	p.countRules(s.Changes)
}

// countRules counts the changes by rule. Neighbors often have the same rule.
func (p *pathMetrics) countRules(changes []admission.Change) {
	counters := *p.byRule.Load()
	for len(changes) > 0 {
		rule := changes[0].Rule
		n := slices.IndexFunc(changes, func(c admission.Change) bool { return c.Rule != rule })
		if n < 0 {
			n = len(changes)
		}
		if counter := counters[rule]; counter != nil {
			counter.Add(float64(n))
		}
		changes = changes[n:]
	}
}
