// Package monitoring tests deploy/monitoring: the objects of the Prometheus Operator and the
// dashboard decode without unknown fields, and all queries parse and name only metrics, labels and
// values that exist. Package tools/checks/promtool tests when the alerts fire.
package monitoring

import (
	"maps"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/image-webhook/image-webhook/tools/checks/servermetrics"
)

// query is a PromQL expression.
type query struct{ where, text string }

func ruleQueries(t *testing.T) (all []query) {
	t.Helper()
	for _, group := range decode[monitoringv1.PrometheusRule](t, "prometheusrule.yaml").Spec.Groups {
		for _, rule := range group.Rules {
			all = append(all, query{"alert " + rule.Alert, rule.Expr.String()})
		}
	}
	return all
}

// metric has the values of each label of a metric. A nil list allows every value.
type metric map[string][]string

// others are metrics of other programs, with the labels that they have in Kubernetes 1.37 and
// kube-state-metrics 2.
var others = map[string]metric{
	"up": {},
	"apiserver_request_total": {
		"resource": {"pods"}, "subresource": {""}, "verb": {"POST"}, "code": {"201"}, "dry_run": {""},
	},
	"apiserver_admission_webhook_request_total": {"name": nil, "type": nil, "operation": nil, "code": nil, "rejected": nil},
	"apiserver_admission_webhook_rejection_count": {
		"name": nil, "type": nil, "operation": nil, "rejection_code": nil,
		"error_type": {"calling_webhook_error", "apiserver_internal_error", "no_error"},
	},
	"apiserver_admission_webhook_fail_open_count":                   {"name": nil, "type": nil},
	"apiserver_admission_webhook_admission_duration_seconds_bucket": {"name": nil, "type": nil, "operation": nil, "rejected": nil, "le": nil},
	"kube_deployment_created":                                       {"namespace": {"image-webhook"}, "deployment": {"webhook"}},
	"kube_cronjob_status_last_successful_time":                      {"namespace": {"image-webhook"}, "cronjob": {"renew"}},
}

// targetLabels are the labels that Prometheus adds to every metric.
var targetLabels = []string{"job", "instance"}

// serverMetrics returns the metrics of the server as Prometheus stores them. A histogram is there
// as a native one too.
func serverMetrics(t *testing.T) map[string]metric {
	t.Helper()
	textParser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := textParser.TextToMetricFamilies(strings.NewReader(servermetrics.Scrape(t, root)))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]metric{}
	for name, family := range families {
		found[name] = labelsOf(family)
		if family.GetType() == dto.MetricType_HISTOGRAM {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				found[name+suffix] = maps.Clone(found[name])
			}
			found[name+"_bucket"]["le"] = nil
		}
	}
	return found
}

func labelsOf(family *dto.MetricFamily) metric {
	found := metric{}
	for _, series := range family.GetMetric() {
		for _, pair := range series.GetLabel() {
			found[pair.GetName()] = append(found[pair.GetName()], pair.GetValue())
		}
	}
	return found
}

func parse(t *testing.T, q query) parser.Expr {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", q.where, err, q.text)
	}
	return expr
}

// selectors returns the selectors in an expression.
func selectors(expr parser.Node) (found []*parser.VectorSelector) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			found = append(found, selector)
		}
		return nil
	})
	return found
}

func TestQueriesNameOnlyExistingMetrics(t *testing.T) {
	known := serverMetrics(t)
	maps.Copy(known, others)
	all := slices.Concat(ruleQueries(t), dashboardQueries(t))
	if len(all) < 20 {
		t.Fatalf("only %d queries: the test is broken", len(all))
	}
	for _, q := range all {
		expr := parse(t, q)
		for _, selector := range selectors(expr) {
			checkSelector(t, q, selector, known)
		}
		checkGroupings(t, q, expr, known)
	}
}

// checkSelector checks the name of a metric, and that the matchers select one of its values.
func checkSelector(t *testing.T, q query, selector *parser.VectorSelector, known map[string]metric) {
	t.Helper()
	found, exists := known[selector.Name]
	if !exists {
		t.Errorf("%s: the metric %s does not exist", q.where, selector.Name)
		return
	}
	for _, matcher := range selector.LabelMatchers {
		values, exists := found[matcher.Name]
		if matcher.Name == labels.MetricName {
			continue
		}
		if !exists || values != nil && !slices.ContainsFunc(values, matcher.Matches) {
			t.Errorf("%s: %s has no label that matches %s", q.where, selector.Name, matcher)
		}
	}
}

// checkGroupings checks that the labels by which queries aggregate exist.
func checkGroupings(t *testing.T, q query, expr parser.Expr, known map[string]metric) {
	t.Helper()
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		aggregation, ok := node.(*parser.AggregateExpr)
		if !ok {
			return nil
		}
		for _, label := range aggregation.Grouping {
			if !slices.ContainsFunc(selectors(aggregation.Expr), func(s *parser.VectorSelector) bool {
				_, exists := known[s.Name][label]
				return exists || slices.Contains(targetLabels, label)
			}) {
				t.Errorf("%s: aggregates by %s, which no metric in it has", q.where, label)
			}
		}
		return nil
	})
}

func TestDashboardShowsEveryMetric(t *testing.T) {
	shown := map[string]bool{}
	for _, q := range dashboardQueries(t) {
		for _, selector := range selectors(parse(t, q)) {
			shown[selector.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(serverMetrics(t))) {
		partOfHistogram := strings.HasSuffix(name, "_seconds_sum") || strings.HasSuffix(name, "_seconds_count")
		if strings.HasPrefix(name, "image_webhook_") && !partOfHistogram && !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}
