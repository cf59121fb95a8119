package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"

	"github.com/image-webhook/image-webhook/webhook/image"
)

// imageReviewOf returns an ImageReview of images, with its other fields as the API server
// sends them.
func imageReviewOf(namespace string, images ...string) string {
	var containers []string
	for _, reference := range images {
		quoted, _ := json.Marshal(reference) // a string always encodes
		containers = append(containers, fmt.Sprintf(`{"image":%s}`, quoted))
	}
	return fmt.Sprintf(`{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","metadata":{},"spec":{"containers":[%s],"annotations":{"x.image-policy.k8s.io/break-glass":"1"},"namespace":%q},"status":{"allowed":false}}`,
		strings.Join(containers, ","), namespace)
}

// imageReviewWith returns an ImageReview with fields in JSON.
func imageReviewWith(fields string) string {
	return `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview"` + fields + `}`
}

func TestImageReviewsDenyDisallowedImages(t *testing.T) {
	const (
		nginx   = `image "nginx:latest"` + latest
		invalid = `: invalid reference (invalid reference format)` + spelling
	)
	tests := []struct {
		name string
		body string
		want string // the reason; empty: allowed
		logs string // the images
	}{
		{"fixed tags", imageReviewOf("shop", "nginx:1.25", "quay.io/app:1"), "", ""},
		{"digest", imageReviewOf("shop", "nginx:latest"+digest), "", ""},
		{"no containers", imageReviewOf("shop"), "", ""},
		{"no list of containers", imageReviewWith(`,"spec":{"namespace":"shop"}`), "", ""},
		{"null containers", imageReviewWith(`,"spec":{"containers":null}`), "", ""},
		{"no spec", imageReviewWith(``), "", ""},
		{"null spec", imageReviewWith(`,"spec":null`), "", ""},
		{"latest", imageReviewOf("shop", "nginx:latest"), nginx + remedy("nginx"), `[nginx:latest]`},
		{"no tag", imageReviewOf("shop", "quay.io/app"), `image "quay.io/app"` + untagged + remedy("quay.io/app"), `[quay.io/app]`},
		{"invalid", imageReviewOf("shop", "nginx:"), `image "nginx:"` + invalid, `[nginx:]`},
		{"no image", imageReviewWith(`,"spec":{"containers":[{}],"namespace":"shop"}`), `image ""` + invalid, `[]`},
		{"null container", imageReviewWith(`,"spec":{"containers":[null],"namespace":"shop"}`), `image ""` + invalid, `[]`},
		{
			"mirrored: both names", imageReviewOf("shop", "docker.mirror.example/library/nginx:latest"),
			`image "nginx:latest" (mirrored to "docker.mirror.example/library/nginx:latest")` + latest + remedy("nginx"), "[nginx:latest]",
		},
		{
			"several", imageReviewOf("shop", "nginx:latest", "nginx:1.25", "quay.io/app"),
			"2 images are not allowed\n- " + nginx + remedy("nginx") + "\n- image \"quay.io/app\"" + untagged + remedy("quay.io/app"), `"[nginx:latest quay.io/app]"`,
		},
	}
	policy := newPolicy(t, exampleRules)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged bytes.Buffer
			got := post(t, newHandler(logger(&logged), imageReviews(fixed(policy))), tt.body)
			status, line := `"allowed":true`, ""
			if tt.want != "" {
				reason, _ := json.Marshal(tt.want) // a string always encodes
				status = `"allowed":false,"reason":` + string(reason)
				line = "level=WARN msg=denied namespace=shop object=imagereview images=" + tt.logs + " reason=" + strconv.Quote(tt.want)
			}
			want := answer{http.StatusOK, jsonType, "", `{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","status":{` + status + `}}`}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(line, strings.TrimSpace(logged.String())); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImageReviewsAllowTheExemptNamespaces(t *testing.T) {
	policy := newPolicy(t, exampleRules)
	for namespace, exempt := range map[string]bool{
		"kube-system": true, "kube-node-lease": true, "image-webhook": true,
		"": false, "default": false, "Kube-System": false, "kube-public": false, "image-webhook-demo": false,
	} {
		for _, reference := range []string{"nginx:latest", "nginx:"} {
			if got := reviewStatus(t, policy, imageReviewOf(namespace, reference)); got.Allowed != exempt || (got.Reason == "") != exempt {
				t.Errorf("%s in %q: %+v", reference, namespace, got)
			}
		}
	}
}

func TestImageReviewsAllowOnlyTheProbesOfCertgen(t *testing.T) {
	policy := newPolicy(t, exampleRules)
	for _, tt := range []struct {
		namespace  string
		references []string
		allowed    bool
	}{
		{"image-webhook-probe", []string{"image-webhook.dev/Probe"}, true},
		{"image-webhook-probe", []string{"nginx:latest"}, false},
		{"image-webhook-probe", []string{"image-webhook.dev/Probe", "nginx:latest"}, false},
		{"default", []string{"image-webhook.dev/Probe"}, false},
	} {
		if got := reviewStatus(t, policy, imageReviewOf(tt.namespace, tt.references...)); got.Allowed != tt.allowed {
			t.Errorf("%q in %q: %+v", tt.references, tt.namespace, got)
		}
	}
}

// reviewStatus returns the status of the answer to an ImageReview.
func reviewStatus(t *testing.T, policy image.Policy, body string) imagepolicyv1alpha1.ImageReviewStatus {
	t.Helper()
	w := serve(newHandler(slog.New(slog.DiscardHandler), imageReviews(fixed(policy))), []byte(body))
	var answer imagepolicyv1alpha1.ImageReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return answer.Status
}

// invalidImageReviews are bodies that the plugin does not send, with their errors.
var invalidImageReviews = []struct{ name, body, want string }{
	{"empty", "", "the body is empty: send an ImageReview"},
	{"text", "hello", "the body is not JSON: unexpected byte 'h' at 0: send an ImageReview as uncompressed JSON in UTF-8"},
	{"truncated", `{"kind":"Image`, "the body is not JSON: unexpected end: send an ImageReview as uncompressed JSON in UTF-8"},
	{"trailing", imageReviewOf("shop") + "{}", "the body is not JSON: unexpected byte '{' at 206: send an ImageReview as uncompressed JSON in UTF-8"},
	{"null", "null", `the body is not an ImageReview of imagepolicy.k8s.io/v1alpha1: its apiVersion is "" and its kind "": send only this kind and version to this path`},
	{"array", "[]", "the ImageReview must have the JSON type object, not array"},
	{"an AdmissionReview", latestReview, `the body is not an ImageReview of imagepolicy.k8s.io/v1alpha1: its apiVersion is "admission.k8s.io/v1" and its kind "AdmissionReview": send only this kind and version to this path`},
	{"another version", `{"apiVersion":"imagepolicy.k8s.io/v1","kind":"ImageReview"}`, `the body is not an ImageReview of imagepolicy.k8s.io/v1alpha1: its apiVersion is "imagepolicy.k8s.io/v1" and its kind "ImageReview": send only this kind and version to this path`},
	{"odd spec", imageReviewWith(`,"spec":[]`), "the field spec of the ImageReview must have the JSON type object, not array"},
	{"odd containers", imageReviewWith(`,"spec":{"containers":{}}`), "the field spec.containers of the ImageReview must have the JSON type array, not object"},
	{"odd image", imageReviewWith(`,"spec":{"containers":[{"image":7}]}`), "the field spec.containers.image of the ImageReview must have the JSON type string, not number"},
	{"odd namespace", imageReviewWith(`,"spec":{"namespace":true}`), "the field spec.namespace of the ImageReview must have the JSON type string, not bool"},
}

func TestImageReviewsRefuseInvalidReviews(t *testing.T) {
	for _, tt := range invalidImageReviews {
		t.Run(tt.name, func(t *testing.T) {
			var logged bytes.Buffer
			got := post(t, newHandler(logger(&logged), imageReviews(fixed(image.Policy{}))), tt.body)
			want := answer{http.StatusBadRequest, "text/plain; charset=utf-8", "", tt.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			line := fmt.Sprintf(`level=WARN msg="refused a request" path=/validating status=400 reason=%q`, tt.want)
			if diff := cmp.Diff(line, strings.TrimSpace(logged.String())); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImageReviewsHaveTheLimitsOfAdmissionReviews(t *testing.T) {
	large := imageReviewWith(`,"spec":{"containers":[` + strings.Repeat("{},", 1<<23) + `{}]}`)
	tests := []struct {
		name, method, contentType, body string
		status                          int
	}{
		{"GET", http.MethodGet, "", "", 405},
		{"other type", http.MethodPost, "application/yaml", imageReviewOf("shop"), 415},
		{"too large", http.MethodPost, jsonType, strings.Repeat(" ", maxBody) + imageReviewOf("shop"), 413},
		{"too many objects", http.MethodPost, jsonType, large, 413},
		{"another object", http.MethodPost, jsonType, "{}", 400},
		{"an ImageReview", http.MethodPost, jsonType, imageReviewOf("shop"), 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(newHandler(slog.New(slog.DiscardHandler), imageReviews(fixed(image.Policy{}))))
			defer srv.Close()
			if got := send(t, srv, tt.method, tt.contentType, strings.NewReader(tt.body)); got.Status != tt.status {
				t.Errorf("status %d, want %d: %s", got.Status, tt.status, got.Body)
			}
		})
	}
	reserveAll(t)
	inFlight.Release(maxInFlight)
}

func TestImageReviewsAgreeWithDeny(t *testing.T) {
	policy := newPolicy(t, exampleRules)
	for _, reference := range []string{"nginx", "nginx:latest", "nginx:1", "nginx:latest" + digest, "docker.mirror.example/a/b", "Nginx:1", "", "\u001b[32m"} {
		resp := denyBy(policy)(created(t, podOf(reference)))
		got := reviewStatus(t, policy, imageReviewOf("shop", reference))
		if got.Allowed != resp.Allowed {
			t.Errorf("%q: allowed %v, to a pod %v", reference, got.Allowed, resp.Allowed)
		}
		if !got.Allowed && app+" uses "+got.Reason != resp.Message {
			t.Errorf("%q: %s\nto a pod: %s", reference, got.Reason, resp.Message)
		}
	}
}

func TestImageReviewDenialsAreBounded(t *testing.T) {
	long := strings.Repeat("\u00fc", 1<<10)
	images := make([]string, maxCounted+1)
	for i := range images {
		images[i] = long
	}
	body := imageReviewOf(strings.Repeat("n", 1<<20), images...)
	var logged bytes.Buffer
	got := serve(newHandler(logger(&logged), imageReviews(fixed(image.Policy{}))), []byte(body)).Body.String()
	if len(got) > 32<<10 || !strings.Contains(got, "at least 1000 images are not allowed") || !strings.Contains(got, "and at least 990 more") {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
	if n := logged.Len(); n == 0 || n > 8192 {
		t.Errorf("logged %d bytes", n)
	}
}

func FuzzImageReviews(f *testing.F) {
	for _, reference := range []string{"nginx:1.25", "nginx", "nginx:latest" + digest, "docker.mirror.example/library/nginx", "Nginx:1", ""} {
		f.Add([]byte(imageReviewOf("shop", reference, "nginx:latest")))
		f.Add([]byte(imageReviewOf("kube-system", reference)))
	}
	for _, tt := range invalidImageReviews {
		f.Add([]byte(tt.body))
	}
	policy := newPolicy(f, exampleRules)
	h := newHandler(slog.New(slog.DiscardHandler), imageReviews(fixed(policy)))
	f.Fuzz(func(t *testing.T, body []byte) {
		checkImageAnswer(t, policy, body, serve(h, body))
	})
}

// checkImageAnswer checks that an answer fulfils the contract of the package.
func checkImageAnswer(t *testing.T, policy image.Policy, body []byte, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code == http.StatusBadRequest && strings.TrimSpace(w.Body.String()) != "" {
		return
	}
	var got imagepolicyv1alpha1.ImageReview
	if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != http.StatusOK || err != nil || got.Kind != imageReviewType.kind {
		t.Fatalf("status %d, %v: %q", w.Code, err, w.Body)
	}
	var review imageReview
	x := &exchange{body: body}
	defer x.memory.release()
	if err := x.decode(imageReviewType, review.decode); err != nil {
		t.Fatalf("answered an invalid body: %v", err)
	}
	want := true
	for _, reference := range review.references {
		ref, err := image.Parse(reference)
		want = want && err == nil && policy.Check(ref) == nil
	}
	want = want || slices.Contains(exemptNamespaces, review.namespace) || review.isProbe()
	if got.Status.Allowed != want || (got.Status.Reason == "") != want {
		t.Errorf("allowed %v, want %v: %s", got.Status.Allowed, want, w.Body)
	}
	if strings.ContainsFunc(got.Status.Reason, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
		t.Errorf("reason %q", got.Status.Reason)
	}
}
