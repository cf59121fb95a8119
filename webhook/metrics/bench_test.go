package metrics

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// BenchmarkReview compares handlers with and without metrics, from the body to the answer, without
// HTTP.
func BenchmarkReview(b *testing.B) {
	for _, path := range []string{"/validating", "/mutating"} {
		for _, name := range []string{"pod-create-1-container", "pod-create-3-containers", "pod-create-60-containers"} {
			body := review(b, name)
			policy := testPolicy(b)
			for observer, observe := range map[string]func(string, []string) admission.Observer{
				"without": nil,
				"with":    New("v0", policy.Mirrors.Rules()).Observe,
			} {
				b.Run(path[1:]+"/"+name+"/"+observer, func(b *testing.B) { benchmark(b, handlers(policy, observe)[path], body) })
			}
		}
	}
}

// review returns a recorded review as the API server sends it.
func review(t testing.TB, name string) []byte {
	t.Helper()
	indented, err := os.ReadFile("../admission/testdata/reviews/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, indented); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

func testPolicy(t testing.TB) (policy image.Policy) {
	t.Helper()
	var err error
	if policy.Mirrors, err = image.ParseMirrors("docker.mirror.example,registry.k8s.io:k8s.mirror.example"); err != nil {
		t.Fatal(err)
	}
	if policy.Disallowed, err = image.ParseTags("latest"); err != nil {
		t.Fatal(err)
	}
	return policy
}

func handlers(policy image.Policy, observe func(string, []string) admission.Observer) map[string]http.Handler {
	report := admission.Reporting{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Observe: observe}
	return admission.Handlers(report, admission.Fixed(admission.Rules{Policy: policy, Changes: admission.Changes{Mirrors: policy.Mirrors}}))
}

func benchmark(b *testing.B, h http.Handler, body []byte) {
	b.Helper()
	content := bytes.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(content))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		content.Reset(body)
		w.Body.Reset()
		h.ServeHTTP(w, r)
	}
}

// BenchmarkAnswered measures what metrics add to a review, with its two looks at the clock.
func BenchmarkAnswered(b *testing.B) {
	policy := testPolicy(b)
	observer := New("v0", policy.Mirrors.Rules()).Observe("/mutating", []string{"CREATE", "UPDATE"})
	for _, containers := range []int{1, 60} {
		b.Run(strconv.Itoa(containers), func(b *testing.B) {
			summary := admission.Summary{Operation: "CREATE", Outcome: admission.Changed, Changes: make([]admission.Change, containers)}
			for i := range summary.Changes {
				summary.Changes[i].Rule = policy.Mirrors.Rules()[0]
			}
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				summary.Took = time.Since(start)
				observer.Answered(&summary)
			}
		})
	}
}
