package reviewlog

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// answerReview returns the log of a handler of the webhook after a review of a pod with
// nginx:latest in namespace shop. The real handler keeps the tests in step with the format of
// its log.
func answerReview(t *testing.T, path string) []string {
	t.Helper()
	mirrors, err := image.ParseMirrors("docker.mirror.example")
	if err != nil {
		t.Fatal(err)
	}
	tags, err := image.ParseTags("latest")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	policy := image.Policy{Mirrors: mirrors, Disallowed: tags}
	handler := admission.Handlers(admission.Reporting{Log: logger}, admission.Fixed(admission.Rules{Policy: policy, Changes: admission.Changes{Mirrors: mirrors}}))[path]
	review, err := os.ReadFile("testdata/review.json")
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(review))
	request.Header.Set("Content-Type", "application/json")
	handler.ServeHTTP(httptest.NewRecorder(), request)
	return strings.Split(strings.TrimSpace(log.String()), "\n")
}

func TestExchangesShowRequestAndResponse(t *testing.T) {
	lines := answerReview(t, "/mutating")
	if found := Exchanges(lines, []string{"front", "back"}); len(found) != 0 {
		t.Errorf("exchanges of another namespace: %v", found)
	}
	found := Exchanges(append([]string{"time=x level=INFO msg=serving"}, lines...), []string{"back", "shop"})
	if len(found) != 1 {
		t.Fatalf("%d exchanges in %q, want 1", len(found), lines)
	}
	const want = `/mutating: CREATE Pod shop/web
  object:   {"metadata":{"name":"web"},"spec":{"containers":[{"image":"nginx:latest","name":"web"}]}}
  response: {"uid":"u","allowed":true,"patchType":"JSONPatch","auditAnnotations":{"spec.containers.0.image":"nginx:latest -\u003e docker.mirror.example/library/nginx:latest"}}
  patch:    [{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:latest"}]`
	if diff := cmp.Diff(want, found[0].String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{`"path": "/mutating"`, `"request": {`, `"managedFields": [`, `"response": {`} {
		if !strings.Contains(found[0].JSON(), text) {
			t.Errorf("no %s in %s", text, found[0].JSON())
		}
	}
}

func TestOtherLinesNameNamespaceOrNone(t *testing.T) {
	deny := answerReview(t, "/validating")
	serving := "time=x level=INFO msg=serving addr=:8443"
	for name, tt := range map[string]struct {
		namespaces []string
		want       []string
	}{
		"same namespace":    {[]string{"shop"}, []string{serving, deny[0]}},
		"another namespace": {[]string{"sho", "shops"}, []string{serving}},
		"no namespace":      {nil, []string{serving}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, OtherLines(append([]string{serving}, deny...), tt.namespaces)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
