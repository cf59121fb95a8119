package metrics

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

var manyReviews = flag.Int("reviews", 2_000, "how many reviews, each with other images, TestScrapeStaysSmall answers")

// counts returns the values of the counters of reviews that are not zero, by name and labels.
func counts(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			if value := series.GetCounter().GetValue(); value != 0 && strings.HasPrefix(family.GetName(), namespace) {
				values[strings.TrimPrefix(family.GetName(), namespace+"_")+labelValues(series)] = value
			}
		}
	}
	return values
}

func labelValues(series *dto.Metric) (values string) {
	for _, label := range series.GetLabel() {
		values += " " + label.GetValue()
	}
	return values
}

func TestAnswersAreCounted(t *testing.T) {
	const hub, k8s = "docker.io=hub.example", "registry.k8s.io=k8s.example"
	for _, tt := range []struct {
		name    string
		summary admission.Summary
		want    map[string]float64 // the labels are operation, path and verdict
	}{
		{"allowed", admission.Summary{Operation: "CREATE"}, map[string]float64{"reviews_total CREATE /p allowed": 1}},
		{"update", admission.Summary{Operation: "UPDATE"}, map[string]float64{"reviews_total UPDATE /p allowed": 1}},
		{"operation of a user", admission.Summary{Operation: "x"}, map[string]float64{}},
		{
			"denied", admission.Summary{Operation: "CREATE", Outcome: admission.Denied, Disallowed: admission.Disallowed{Images: []string{"x"}, Rules: [image.Rules]int{image.RuleTag: 3, image.RuleNoTag: 2, image.RuleReference: 1}}},
			map[string]float64{
				"reviews_total CREATE /p denied": 1, "images_disallowed_total tag denied": 3,
				"images_disallowed_total no_tag denied": 2, "images_disallowed_total invalid_reference denied": 1,
			},
		},
		{
			"warned", admission.Summary{Operation: "CREATE", Outcome: admission.Warned, Disallowed: admission.Disallowed{Rules: [image.Rules]int{image.RuleTag: 1}}},
			map[string]float64{"reviews_total CREATE /p warned": 1, "images_disallowed_total tag warned": 1},
		},
		{
			"changed", admission.Summary{Operation: "CREATE", Outcome: admission.Changed, Changes: []admission.Change{{Rule: hub}, {Rule: hub}, {}, {Rule: k8s}, {Rule: hub}, {Rule: "a rule of a user"}}},
			map[string]float64{"reviews_total CREATE /p changed": 1, "images_mirrored_total " + hub: 3, "images_mirrored_total " + k8s: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := New("v0", []string{hub, k8s})
			m.Observe("/p", []string{"CREATE", "UPDATE"}).Answered(&tt.summary)
			if diff := cmp.Diff(tt.want, counts(t, m)); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(New("v0", []string{"a=b"}).registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
}

// get returns the page as a client with an Accept header gets it.
func get(t *testing.T, h http.Handler, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageHasNativeHistogramsForPrometheus(t *testing.T) {
	m := New("v0", nil)
	m.Observe("/p", []string{"CREATE"}).Answered(&admission.Summary{Operation: "CREATE", Took: time.Millisecond})
	h := m.Handler(slog.New(slog.DiscardHandler))
	// https://github.com/prometheus/prometheus/blob/v3.16.0/config/config.go has the order of preference.
	w := get(t, h, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3")
	for reader := w.Body; reader.Len() > 0; {
		var family dto.MetricFamily
		if err := protodelim.UnmarshalFrom(reader, &family); err != nil {
			t.Fatal(err)
		}
		if family.GetName() == "image_webhook_review_duration_seconds" {
			if got := family.GetMetric()[0].GetHistogram(); len(got.GetPositiveDelta()) != 1 || len(got.GetBucket()) != len(durations) {
				t.Errorf("histogram %v, want one native bucket and %d classic ones", got, len(durations))
			}
			return
		}
	}
	t.Error("the scrape has no durations")
}

func TestPageIsTextForOtherClients(t *testing.T) {
	h := New("v0", nil).Handler(slog.New(slog.DiscardHandler))
	for _, accept := range []string{"", "*/*", "text/html", "text/plain;version=0.0.4", "application/openmetrics-text", "\x00;;,,q=9", strings.Repeat("a/b;q=1,", 1000)} {
		w := get(t, h, accept)
		if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, "text/plain; version=0.0.4;") || !strings.Contains(w.Body.String(), `image_webhook_build_info{goversion="go`) {
			t.Errorf("%.20q: status %d, content type %q", accept, w.Code, got)
		}
	}
	if n := len(h.(*page).rendered); n > 2*len(formats) {
		t.Errorf("%d pages are in memory", n)
	}
}

func TestPageIsRenderedOncePerSecond(t *testing.T) {
	m := New("v0", nil)
	h := m.Handler(slog.New(slog.DiscardHandler)).(*page)
	now := time.Now()
	h.now = func() time.Time { return now }
	first := get(t, h, "").Body.String()
	m.Refused(404)
	if second := get(t, h, "").Body.String(); second != first {
		t.Error("the page has been rendered again within a second")
	}
	now = now.Add(maxAge)
	if third := get(t, h, "").Body.String(); !strings.Contains(third, `image_webhook_requests_refused_total{code="404"} 1`) {
		t.Error("the page is older than a second")
	}
}

// TestScrapeStaysSmall answers reviews whose images, namespaces, users and paths are all different.
func TestScrapeStaysSmall(t *testing.T) {
	policy := testPolicy(t)
	m := New("v0", policy.Mirrors.Rules())
	endpoints := handlers(policy, m.Observe)
	h := m.Handler(slog.New(slog.DiscardHandler)).(*page)
	h.now = func() time.Time { return time.Time{} }
	before := get(t, h, "").Body.Len()
	for i := range *manyReviews {
		for _, path := range []string{"/validating", "/mutating"} {
			body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u%[1]d","namespace":"n%[1]d","operation":"CREATE",`+
				`"userInfo":{"username":"user%[1]d"},"kind":{"group":"","version":"v1","kind":"Pod"},"object":{"metadata":{"name":"p%[1]d"},`+
				`"spec":{"containers":[{"name":"a","image":"image%[1]d"},{"name":"b","image":"r%[1]d.example/i:latest"},{"name":"c","image":"Invalid%[1]d"}]}}}}`, i)
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			endpoints[path].ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	h.rendered = map[expfmt.Format]rendering{}
	text := get(t, h, "").Body
	t.Logf("%d bytes before, %d bytes after %d reviews", before, text.Len(), 2**manyReviews)
	if text.Len() > 64<<10 || !strings.Contains(text.String(), fmt.Sprintf(`image_webhook_images_disallowed_total{reason="tag",verdict="denied"} %v`, float64(*manyReviews))) {
		t.Errorf("the scrape has %d bytes, or wrong counts", text.Len())
	}
}
