package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/policy"
	"github.com/image-webhook/image-webhook/webhook/reload"
	"github.com/image-webhook/image-webhook/webhook/server"
)

// gauge adds a value that is read at each scrape.
func (m *Metrics) gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, read))
}

// counter adds a count that is read at each scrape.
func (m *Metrics) counter(name, help string, labels prometheus.Labels, read func() uint64) {
	opts := prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}
	m.registry.MustRegister(prometheus.NewCounterFunc(opts, func() float64 { return float64(read()) }))
}

func (m *Metrics) watchInFlight() {
	number := func() admission.Use { reviews, _ := admission.InFlight(); return reviews }
	memory := func() admission.Use { _, bytes := admission.InFlight(); return bytes }
	m.gauge("reviews_in_flight", "Reviews up to 64 KiB that are being answered.", func() float64 { return float64(number().Used) })
	m.gauge("reviews_in_flight_limit", "Maximum number of reviews up to 64 KiB that are answered at the same time.", func() float64 { return float64(number().Limit) })
	m.gauge("review_memory_bytes", "Memory that larger reviews in flight have reserved.", func() float64 { return float64(memory().Used) })
	m.gauge("review_memory_limit_bytes", "Maximum memory that larger reviews in flight reserve together.", func() float64 { return float64(memory().Limit) })
}

// WatchServer adds the connections of a server.
func (m *Metrics) WatchServer(s *server.Server) {
	m.gauge("connections", "Open connections.", func() float64 { return float64(s.Stats().Open) })
	m.gauge("connections_limit", "Maximum number of open connections.", func() float64 { return float64(s.Stats().Limit) })
	m.counter("connections_closed_total", "Connections that were closed because too many were open.", nil, func() uint64 { return s.Stats().Closed })
	m.counter("connection_failures_total", "Connections that failed, such as TLS handshakes in which the client rejects the certificate.", nil, func() uint64 { return s.Stats().Failed })
}

// WatchFiles adds the certificate of a server, and the CAs of its clients unless they are nil.
func (m *Metrics) WatchFiles(cert *server.Certificate, clients *server.Clients) {
	m.gauge("certificate_not_after_timestamp_seconds", "When the served certificate expires, in Unix time.",
		func() float64 { return float64(cert.NotAfter().Unix()) })
	m.watchReloads("certificate", cert.Reloads)
	if clients != nil {
		m.watchReloads("client-cas", clients.Reloads)
	}
}

// WatchPolicy adds the version of a policy file.
func (m *Metrics) WatchPolicy(s *policy.Store) {
	m.registry.MustRegister(policyVersion{s})
	m.watchReloads("policy", s.Reloads)
}

// policyVersion is a metric whose label is the version of a policy file, so that one can see which
// replicas use which version.
type policyVersion struct{ store *policy.Store }

var policyInfo = prometheus.NewDesc(namespace+"_policy_info", "The version of the policy file that is used; always 1.", []string{"version"}, nil)

// Describe implements prometheus.Collector.
func (policyVersion) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- policyInfo }

// Collect implements prometheus.Collector.
func (p policyVersion) Collect(values chan<- prometheus.Metric) {
	values <- prometheus.MustNewConstMetric(policyInfo, prometheus.GaugeValue, 1, p.store.Rules().Version)
}

func (m *Metrics) watchReloads(file string, read func() reload.Reloads) {
	labels := prometheus.Labels{"file": file}
	m.counter("file_reloads_total", "Changes of a file that were loaded: certificate, client-cas with --client-ca-file, policy with --config.", labels, func() uint64 { return read().Succeeded })
	m.counter("file_reload_failures_total", "Changes of a file that could not be loaded.", labels, func() uint64 { return read().Failed })
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "file_last_reload_successful", ConstLabels: labels,
		Help: "1 if the current file is loaded, 0 if it is invalid, so that the previous one is used.",
	}, func() float64 {
		if read().Failing {
			return 0
		}
		return 1
	}))
}
