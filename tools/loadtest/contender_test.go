package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
)

const root = "../.."

func recordedReviews(t *testing.T) []review {
	t.Helper()
	reviews, err := readReviews(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	return reviews
}

// serveContender serves a contender until the test ends, and returns a connection to it.
func serveContender(t *testing.T, c contender) *connection {
	t.Helper()
	certificate, err := newCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.serve(ctx, l, certificate, slog.New(slog.DiscardHandler)) }()
	client, err := connect(t.Context(), l.Addr().String(), certificate.trusted)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closeAll([]*connection{client})
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return client
}

func TestContendersGiveTheSameAnswers(t *testing.T) {
	for _, c := range contenders {
		client := serveContender(t, c)
		for _, path := range c.paths {
			for _, review := range recordedReviews(t) {
				err := client.post(newRequest(path, review.body))
				if err == nil && path != anyPath {
					err = review.check(path, client.body)
				}
				if err != nil {
					t.Errorf("%s %s, %s: %v", c.name, path, review.name, err)
				}
			}
		}
	}
}

func TestContendersDenyLatest(t *testing.T) {
	for _, c := range contenders {
		if c.name == Floor {
			continue
		}
		client := serveContender(t, c)
		for _, review := range recordedReviews(t) {
			latest := bytes.ReplaceAll(bytes.ReplaceAll(review.body, []byte("nginx:1.25"), []byte("nginx:latest")), []byte("nginx:1.26"), []byte("nginx"))
			if err := client.post(newRequest(validating, latest)); err != nil {
				t.Errorf("%s, %s: %v", c.name, review.name, err)
				continue
			}
			var answer admissionv1.AdmissionReview
			if err := json.Unmarshal(client.body, &answer); err != nil || answer.Response.Allowed || !strings.Contains(answer.Response.Result.Message, `"nginx`) {
				t.Errorf("%s, %s: %s, %v", c.name, review.name, client.body, err)
			}
		}
	}
}

func TestReviewsHaveTheSizesOfThePage(t *testing.T) {
	type size struct{ Containers, Kilobytes int }
	got := map[string]size{}
	for _, r := range recordedReviews(t) {
		got[r.name] = size{len(r.mirrored), len(r.body) / 1000}
	}
	want := map[string]size{
		"pod-create-1-container": {1, 2}, "pod-create-3-containers": {3, 4}, "pod-create-10-containers": {10, 16}, "pod-create-60-containers": {60, 100},
		// One image is changed.
		"pod-update-1-container": {1, 6}, "pod-update-3-containers": {1, 10}, "pod-update-10-containers": {1, 34}, "pod-update-60-containers": {1, 201},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("new containers and sizes (-want +got):\n%s", diff)
	}
}

func TestMirrorRulesAreThoseOfTheManifest(t *testing.T) {
	manifest, err := os.ReadFile(root + "/deploy/04-webhook.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mirrors, err := image.ParseMirrors(MirrorRules)
	if err != nil {
		t.Fatal(err)
	}
	want := "    mirrors:\n"
	for _, rule := range mirrors.Rules() {
		source, mirror, _ := strings.Cut(rule, "=")
		want += "      - source: " + source + "\n        mirror: " + mirror + "\n"
	}
	if !strings.Contains(string(manifest), want) {
		t.Errorf("the policy file of deploy/04-webhook.yaml has other rules than %s", mirrors)
	}
}

func TestWrongAnswersAreFound(t *testing.T) {
	r := review{name: "pod", body: []byte(`{"request":{"uid":"1"}}`), mirrored: map[string]string{"/spec/containers/0/image": "docker.mirror.example/library/nginx:1.25"}}
	patched := func(patch string) string {
		encoded, err := json.Marshal([]byte(patch))
		if err != nil {
			t.Fatal(err)
		}
		return `{"response":{"uid":"1","allowed":true,"patch":` + string(encoded) + `}}`
	}
	const right = `[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:1.25"}]`
	for _, test := range []struct{ path, answer, want string }{
		{mutating, patched(right), ""},
		{validating, `{"response":{"uid":"1","allowed":true}}`, ""},
		{validating, patched(right), "unexpected patch " + right},
		{mutating, `{"response":{"uid":"1","allowed":true}}`, "the patch is not JSON: unexpected end of JSON input"},
		{mutating, patched(`[]`), "the patch replaces map[], want map[/spec/containers/0/image:docker.mirror.example/library/nginx:1.25]"},
		{mutating, patched(`[{"op":"replace","path":"/spec/containers/0/image","value":"x"}]`), "the patch replaces map[/spec/containers/0/image:x], want map[/spec/containers/0/image:docker.mirror.example/library/nginx:1.25]"},
		{validating, `{"response":{"uid":"1","allowed":false,"status":{"message":"no"}}}`, "the review is denied: no"},
		{validating, `{"response":{"uid":"1","allowed":false}}`, "the review is denied: without a message"},
		{validating, `{"response":{"uid":"2","allowed":true}}`, `the answer has the uid "2" of another review`},
		{validating, `{}`, "the answer has no response"},
		{validating, ``, "the answer is not JSON: unexpected end of JSON input"},
	} {
		got := ""
		if err := r.check(test.path, []byte(test.answer)); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.path, test.answer, got, test.want)
		}
	}
}

func TestWrongAnswerFailsTheRun(t *testing.T) {
	r := &run{reviews: []review{{name: "pod", body: []byte(`{"request":{"uid":"1"}}`)}}}
	for answer, want := range map[string]string{
		`{"response":{"uid":"1","allowed":true}}`:  "",
		`{"response":{"uid":"1","allowed":false}}`: "typed-decode /validating with pod: the review is denied: without a message",
	} {
		connections := startServer(t, 1, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
		err := r.checkAnswers([]*serverProcess{
			{contender: contender{name: Floor, paths: []string{anyPath}}, connections: connections},
			{contender: contender{name: "typed-decode", paths: []string{validating}}, connections: connections},
		})
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s: got %v, want %q", answer, err, want)
		}
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	if err := CheckNames(ContenderNames(), ReviewNames); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		contenders, reviews []string
		want                string
	}{
		{[]string{"nginx"}, nil, `unknown contender "nginx": use one of floor, image-webhook, controller-runtime, typed-decode`},
		{nil, []string{"pod-create"}, `unknown review "pod-create": use one of ` + strings.Join(ReviewNames, ", ")},
	} {
		if err := CheckNames(test.contenders, test.reviews); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestComparedWebhooksSplitImages(t *testing.T) {
	for _, test := range []struct {
		image, mirrored string // mirrored is empty without a mirror
		latest          bool
	}{
		{"nginx", "docker.mirror.example/library/nginx", true},
		{"nginx:1.25", "docker.mirror.example/library/nginx:1.25", false},
		{"shop/worker:latest", "docker.mirror.example/shop/worker:latest", true},
		{"docker.io/shop/worker@sha256:0", "docker.mirror.example/shop/worker@sha256:0", false},
		{"registry.k8s.io/pause:3.10", "k8s.mirror.example/pause:3.10", false},
		{"registry.example:5000/pause", "", true},
	} {
		mirrored, ok := mirrorOf(test.image)
		if ok != (test.mirrored != "") || ok && mirrored != test.mirrored {
			t.Errorf("mirrorOf(%s) = %s, %t, want %s", test.image, mirrored, ok, test.mirrored)
		}
		if got := isLatest(test.image); got != test.latest {
			t.Errorf("isLatest(%s) = %t", test.image, got)
		}
	}
}
