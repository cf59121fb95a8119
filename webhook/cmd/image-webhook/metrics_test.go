package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// scrape returns the metrics of the server by name.
func (s *servingProgram) scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get(s.metricsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, error %v", resp.StatusCode, err)
	}
	return families
}

// value returns the value of the series with labels such as `path="/mutating"`.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels map[string]string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		if len(m.GetLabel()) == len(labels) && !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return labels[l.GetName()] != l.GetValue() }) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("%s%v is not in the scrape", name, labels)
	return 0
}

func TestServeCountsInMetrics(t *testing.T) {
	s := startServe(t, "--registry-mirrors=docker.mirror.example")
	s.waitUntilServing(t)
	client := s.pair.Client(t)
	s.checkReview(t, client, "/validating", podReview, `"allowed":false`, "msg=denied ")
	s.checkReview(t, client, "/mutating", podReview, `"allowed":true`)
	s.checkReview(t, client, "/nowhere", podReview, "404 page not found")
	s.checkReview(t, client, "/mutating", "x", "is not JSON", "refused a request")
	got := s.scrape(t)
	for _, want := range []struct {
		name   string
		labels map[string]string
		value  float64
	}{
		{"image_webhook_reviews_total", map[string]string{"path": "/validating", "operation": "CREATE", "verdict": "denied"}, 1},
		{"image_webhook_reviews_total", map[string]string{"path": "/validating", "operation": "CREATE", "verdict": "allowed"}, 0},
		{"image_webhook_reviews_total", map[string]string{"path": "/mutating", "operation": "CREATE", "verdict": "changed"}, 1},
		{"image_webhook_images_disallowed_total", map[string]string{"reason": "no_tag", "verdict": "denied"}, 1},
		{"image_webhook_images_mirrored_total", map[string]string{"rule": "docker.io=docker.mirror.example"}, 1},
		{"image_webhook_review_duration_seconds", map[string]string{"path": "/mutating"}, 1},
		{"image_webhook_requests_refused_total", map[string]string{"code": "404"}, 1},
		{"image_webhook_requests_refused_total", map[string]string{"code": "400"}, 1},
		{"image_webhook_connections_limit", nil, 1024},
		{"image_webhook_file_last_reload_successful", map[string]string{"file": "certificate"}, 1},
	} {
		if got := value(t, got, want.name, want.labels); got != want.value {
			t.Errorf("%s%v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	s.stopAndWait(t)
}

func TestMetricsPortServesNothingElse(t *testing.T) {
	s := startServe(t)
	s.waitUntilServing(t)
	for path, want := range map[string]int{"": 404, "/": 404, "/metrics/": 404, "/debug/pprof/": 404, "/healthz": 404, "/validating": 404} {
		resp, err := http.Get(strings.TrimSuffix(s.metricsURL, "/metrics") + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: status %d, want %d", path, resp.StatusCode, want)
		}
	}
	s.stopAndWait(t)
}

// TestPageDescribesEveryMetric compares the table of metrics in docs/operations.md with a scrape.
func TestPageDescribesEveryMetric(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, file, []byte(strings.ReplaceAll(testPolicy, "disallowedTags: []\n", "")))
	s := startServe(t, "--config="+file, "--client-ca-file="+servertest.NewCA(t, t.TempDir()).File)
	s.waitUntilServing(t)
	table := metricTable(s.scrape(t))
	s.stopAndWait(t)
	compareSection(t, operationsPage, "metrics", table)
}

const operationsPage = "../../../docs/operations.md"

// metricTable returns a Markdown table of the webhook's own metrics.
func metricTable(families map[string]*dto.MetricFamily) string {
	var table strings.Builder
	table.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if family := families[name]; strings.HasPrefix(name, "image_webhook_") {
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), labelNames(family), strings.TrimSuffix(family.GetHelp(), "."))
		}
	}
	return table.String()
}

// labelNames returns the names of the labels of a metric, in Markdown.
func labelNames(family *dto.MetricFamily) string {
	var names []string
	for _, label := range family.GetMetric()[0].GetLabel() {
		names = append(names, "`"+label.GetName()+"`")
	}
	return strings.Join(names, ", ")
}
