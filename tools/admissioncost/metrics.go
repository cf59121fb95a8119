package admissioncost

import (
	"bytes"
	"context"
	"fmt"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	stepMetric    = "apiserver_admission_step_admission_duration_seconds"
	pluginMetric  = "apiserver_admission_controller_admission_duration_seconds"
	webhookMetric = "apiserver_admission_webhook_admission_duration_seconds"
)

// parts are parts of the admission whose durations the API server measures. The histograms of
// policies and match conditions are not used: they count only denials and exclusions.
var parts = []struct {
	title, metric string
	labels        map[string]string
}{
	{"all mutating plugins", stepMetric, map[string]string{"type": "admit"}},
	{"- MutatingAdmissionPolicy", pluginMetric, map[string]string{"name": "MutatingAdmissionPolicy"}},
	{"- MutatingAdmissionWebhook", pluginMetric, map[string]string{"name": "MutatingAdmissionWebhook"}},
	{"- - call of the webhook", webhookMetric, map[string]string{"name": mutatingName}},
	{"all validating plugins", stepMetric, map[string]string{"type": "validate"}},
	{"- ImagePolicyWebhook", pluginMetric, map[string]string{"name": "ImagePolicyWebhook"}},
	{"- ValidatingAdmissionPolicy", pluginMetric, map[string]string{"name": "ValidatingAdmissionPolicy"}},
	{"- ValidatingAdmissionWebhook", pluginMetric, map[string]string{"name": "ValidatingAdmissionWebhook"}},
	{"- - call of the webhook", webhookMetric, map[string]string{"name": validatingName}},
}

// measureParts creates pods one at a time, and returns the mean duration of each part per create for
// each arm. Rounds of the arms alternate.
func (c *cluster) measureParts(ctx context.Context, arms []*arm, o Options, step *progress.Step) ([][]time.Duration, error) {
	creates := max(o.Iterations/rounds, 1)
	means := make([][]time.Duration, len(arms))
	before, err := c.scrape(ctx)
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		for k := range arms {
			n := (round + k) % len(arms)
			step.SetDetail(fmt.Sprintf("round %d of %d, %s", round+1, rounds, arms[n].name))
			after, err := c.createAndScrape(ctx, arms[n], creates)
			if err != nil {
				return nil, err
			}
			means[n] = addMeans(means[n], before, after, rounds*creates)
			before = after
		}
	}
	return means, nil
}

// createAndScrape creates pods in one arm, one at a time, and reads the metrics.
func (c *cluster) createAndScrape(ctx context.Context, a *arm, creates int) ([]time.Duration, error) {
	for range creates {
		if _, err := c.timeCreate(ctx, a); err != nil {
			return nil, err
		}
	}
	return c.scrape(ctx)
}

// addMeans adds the difference of totals, divided by count, to means, which may be nil.
func addMeans(means, before, after []time.Duration, count int) []time.Duration {
	if means == nil {
		means = make([]time.Duration, len(after))
	}
	for i := range means {
		means[i] += (after[i] - before[i]) / time.Duration(count)
	}
	return means
}

// scrape returns the total duration of each part for the creates so far.
func (c *cluster) scrape(ctx context.Context) ([]time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, answerLimit)
	defer stop()
	text, err := c.client.Discovery().RESTClient().Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	return parseMetrics(text)
}

// parseMetrics returns the total duration of each part for creates.
func parseMetrics(text []byte) ([]time.Duration, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(admissionLines(text)))
	if err != nil {
		return nil, fmt.Errorf("parse the metrics of the API server: %w", err)
	}
	totals := make([]time.Duration, len(parts))
	for i, part := range parts {
		for _, metric := range families[part.metric].GetMetric() {
			if hasLabel(metric, "operation", "CREATE") && hasLabels(metric, part.labels) {
				totals[i] += time.Duration(metric.GetHistogram().GetSampleSum() * float64(time.Second))
			}
		}
	}
	return totals, nil
}

// admissionLines returns the lines about the admission, which are a small part of the text.
func admissionLines(text []byte) (lines []byte) {
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte("apiserver_admission_")) {
			lines = append(lines, line...)
		}
	}
	return lines
}

func hasLabels(metric *dto.Metric, labels map[string]string) bool {
	for name, value := range labels {
		if !hasLabel(metric, name, value) {
			return false
		}
	}
	return true
}

func hasLabel(metric *dto.Metric, name, value string) bool {
	for _, label := range metric.GetLabel() {
		if label.GetName() == name {
			return label.GetValue() == value
		}
	}
	return false
}
