// Package metrics counts what the server does, and renders the counts for Prometheus.
//
// The names follow https://prometheus.io/docs/practices/naming. No label has a value that a user
// writes: a million different images add no series. All series of reviews exist from the start, so
// that the first denial is an increase.
//
// The files are metrics.go for the registry, reviews.go for what package admission reports,
// state.go for what is read from package server at each scrape, and page.go for the page.
// docs/operations.md describes every metric.
package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const namespace = "image_webhook"

// Metrics are the metrics of a server.
type Metrics struct {
	registry *prometheus.Registry
	*reviews
}

// New returns the metrics of a server with a version and mirror rules.
func New(version string, rules []string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), reviews: newReviews()}
	m.SetRules(rules)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "The version of the webhook; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.collectors()...)
	m.watchInFlight()
	return m
}
