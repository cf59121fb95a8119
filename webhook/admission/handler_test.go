package admission

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// latestReview is a review whose pod is denied.
var latestReview = join(uid, pod, `"namespace":"shop"`, create, `"userInfo":{"username":"alice"}`,
	`"object":{"metadata":{"generateName":"web-"},"spec":{"containers":[{"name":"web","image":"nginx:latest"}]}}`)

func TestHandlerAnswersAndLogsReviews(t *testing.T) {
	policy := newPolicy(t, exampleRules)
	namespace := join(uid, `"kind":{"group":"","version":"v1","kind":"Namespace"}`, `"namespace":"shop"`, create,
		`"object":{"metadata":{"name":"shop","labels":{"image-webhook.dev/mode":"of"}}}`)
	const latest = `container "web" (spec.containers[0].image) uses image "nginx:latest": tag "latest" is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)`
	const warning = "use `latest` tag is not allowed: container \"web\" (spec.containers[0].image) has image \"nginx:latest\""
	const modeWarning = `namespace "shop" is treated as deny: set its label image-webhook.dev/mode to deny, warn or off instead of "of"`
	tests := []struct {
		name    string
		verdict bound
		body    string
		want    string // the response
		logged  string // without the time
	}{
		{"allowed", denyBy(policy), join(uid, pod, create, anObject), `"uid":"u","allowed":true`, ""},
		{
			"denied", denyBy(policy), latestReview,
			fmt.Sprintf(`"uid":"u","allowed":false,"status":{"metadata":{},"status":"Failure","message":%q,"reason":"Forbidden","code":403},"auditAnnotations":{"uid":"u"},"warnings":[%q]`, latest, warning),
			`level=WARN msg=denied namespace=shop object=pod/web- user=alice uid=u images=[nginx:latest] reason=` + strconv.Quote(latest),
		},
		{
			"warned", warnBy(policy), latestReview,
			fmt.Sprintf(`"uid":"u","allowed":true,"auditAnnotations":{"uid":"u"},"warnings":[%q]`, warning),
			`level=WARN msg=warned namespace=shop object=pod/web- user=alice uid=u images=[nginx:latest] reason=` + strconv.Quote(warning),
		},
		{
			"unknown mode", unknownMode, namespace,
			fmt.Sprintf(`"uid":"u","allowed":true,"auditAnnotations":{"uid":"u"},"warnings":[%q]`, modeWarning),
			`level=WARN msg=warned namespace=shop object=namespace/shop user="" uid=u reason=` + strconv.Quote(modeWarning),
		},
		{
			"changed", mutateBy(Changes{Mirrors: policy.Mirrors}), latestReview,
			// The patch is in base64.
			`"uid":"u","allowed":true,` +
				`"patch":"W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9zcGVjL2NvbnRhaW5lcnMvMC9pbWFnZSIsInZhbHVlIjoiZG9ja2VyLm1pcnJvci5leGFtcGxlL2xpYnJhcnkvbmdpbng6bGF0ZXN0In1d",` +
				`"patchType":"JSONPatch","auditAnnotations":{"spec.containers.0.image":"nginx:latest -> docker.mirror.example/library/nginx:latest"}`,
			`level=INFO msg=changed namespace=shop object=pod/web- user=alice uid=u fields=spec.containers.0.image:nginx:latest->docker.mirror.example/library/nginx:latest`,
		},
		{
			"always pulled", mutateBy(Changes{AlwaysPull: true}), join(uid, pod, create, anObject),
			`"uid":"u","allowed":true,` +
				`"patch":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvY29udGFpbmVycy8wL2ltYWdlUHVsbFBvbGljeSIsInZhbHVlIjoiQWx3YXlzIn1d",` +
				`"patchType":"JSONPatch","auditAnnotations":{"spec.containers.0.imagePullPolicy":"-> Always"}`,
			`level=INFO msg=changed namespace="" object=pod/ user="" uid=u fields=spec.containers.0.imagePullPolicy:->Always`,
		},
		{
			"mirrored and always pulled", mutateBy(Changes{Mirrors: policy.Mirrors, AlwaysPull: true}),
			join(uid, pod, create, `"object":`+podOf("docker.io/x:1")),
			`"uid":"u","allowed":true,` +
				`"patch":"W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9zcGVjL2NvbnRhaW5lcnMvMC9pbWFnZSIsInZhbHVlIjoiZG9ja2VyLm1pcnJvci5leGFtcGxlL2xpYnJhcnkveDoxIn0seyJvcCI6ImFkZCIsInBhdGgiOiIvc3BlYy9jb250YWluZXJzLzAvaW1hZ2VQdWxsUG9saWN5IiwidmFsdWUiOiJBbHdheXMifV0=",` +
				`"patchType":"JSONPatch","auditAnnotations":{"spec.containers.0.image":"docker.io/x:1 -> docker.mirror.example/library/x:1","spec.containers.0.imagePullPolicy":"-> Always"}`,
			`level=INFO msg=changed namespace="" object=pod/ user="" uid=u fields=spec.containers.0.image:docker.io/x:1->docker.mirror.example/library/x:1,spec.containers.0.imagePullPolicy:->Always`,
		},
		{
			"unchanged", mutateBy(Changes{Mirrors: policy.Mirrors}), join(uid, pod, create, `"object":{}`),
			`"uid":"u","allowed":true`,
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged bytes.Buffer
			got := post(t, verdictHandler(logger(&logged), tt.verdict), tt.body)
			want := answer{http.StatusOK, jsonType, "", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{` + tt.want + `}}`}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.logged, strings.TrimSpace(logged.String())); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandlerRefusesInvalidReviews(t *testing.T) {
	for _, tt := range invalidReviews {
		t.Run(tt.name, func(t *testing.T) {
			got := post(t, verdictHandler(slog.New(slog.DiscardHandler), denyBy(image.Policy{})), tt.body)
			want := answer{http.StatusBadRequest, "text/plain; charset=utf-8", "", tt.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandlerRefusesInvalidHTTPRequests(t *testing.T) {
	full := strings.Repeat(" ", maxBody-len(latestReview)) + latestReview
	tests := []struct {
		name        string
		method      string
		contentType string
		body        string
		status      int
		want        string // empty: a review
	}{
		{"GET", http.MethodGet, "", "", 405, "invalid method: send a review with POST"},
		{"PUT", http.MethodPut, jsonType, latestReview, 405, "invalid method: send a review with POST"},
		{"no type", http.MethodPost, "", latestReview, 415, "invalid content type: use application/json"},
		{"other type", http.MethodPost, "application/yaml", latestReview, 415, "invalid content type: use application/json"},
		{"type with charset", http.MethodPost, "application/json; charset=utf-8", latestReview, 200, ""},
		{"of the maximum size", http.MethodPost, jsonType, full, 200, ""},
		{"too large", http.MethodPost, jsonType, " " + full, 413, "the body is larger than 30 MiB: make the object smaller"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged bytes.Buffer
			srv := httptest.NewServer(verdictHandler(logger(&logged), denyBy(image.Policy{})))
			defer srv.Close()
			got := send(t, srv, tt.method, tt.contentType, strings.NewReader(tt.body))
			if got.Status != tt.status {
				t.Errorf("status %d, want %d", got.Status, tt.status)
			}
			if (got.Allow == http.MethodPost) != (tt.status == http.StatusMethodNotAllowed) {
				t.Errorf("status %d allows %q", got.Status, got.Allow)
			}
			if tt.want == "" {
				return
			}
			if got.Body != tt.want {
				t.Errorf("answer %q, want %q", got.Body, tt.want)
			}
			line := fmt.Sprintf(`level=WARN msg="refused a request" path=/validating status=%d reason=%q`, tt.status, tt.want)
			if diff := cmp.Diff(line, strings.TrimSpace(logged.String())); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandlerLimitsTheMemoryOfLargeReviews(t *testing.T) {
	reserveAll(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	large := strings.Repeat(" ", smallBody) + latestReview
	if w := recordAnswerTo(gone, large); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("large review: status %d, header %v, want 503 with Retry-After: 1", w.Code, w.Header())
	}
	if got := statusOf(gone, latestReview); got != http.StatusOK {
		t.Errorf("small review: status %d, want 200", got)
	}
	inFlight.Release(maxInFlight)
	if got := statusOf(t.Context(), large); got != http.StatusOK {
		t.Errorf("large review: status %d, want 200", got)
	}
	reserveAll(t)
	inFlight.Release(maxInFlight)
}

func TestHandlerLimitsTheNumberOfListElements(t *testing.T) {
	// A list of so many volumes needs more memory than all reviews together may use.
	const tooMany = 1 << 20
	for _, element := range []string{"{}", "null", `{"name":"v"}`} {
		listOf := func(n int) string {
			list := strings.TrimSuffix(strings.Repeat(element+",", n), ",")
			return join(uid, pod, create, `"object":{"spec":{"volumes":[`+list+`]}}`)
		}
		if got := statusOf(t.Context(), listOf(smallBody)); got != http.StatusOK {
			t.Errorf("many of %s: status %d, want 200", element, got)
		}
		if got := statusOf(t.Context(), listOf(tooMany)); got != http.StatusRequestEntityTooLarge {
			t.Errorf("too many of %s: status %d, want 413", element, got)
		}
	}
	reserveAll(t)
	inFlight.Release(maxInFlight)
}

// reserveAll reserves the memory of all large reviews, which must be free.
func reserveAll(t *testing.T) {
	t.Helper()
	if !inFlight.TryAcquire(maxInFlight) {
		t.Fatal("a review has not released its memory")
	}
}

func TestHandlerLimitsTheNumberOfSmallReviews(t *testing.T) {
	if !small.TryAcquire(maxSmall) {
		t.Fatal("a review is still in flight")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := recordAnswerTo(gone, latestReview)
	want := []string{"503", "1", "too many reviews are in flight: try again\n"}
	if diff := cmp.Diff(want, []string{strconv.Itoa(w.Code), w.Header().Get("Retry-After"), w.Body.String()}); diff != "" {
		t.Errorf("small review: answer (-want +got):\n%s", diff)
	}
	if got := statusOf(t.Context(), strings.Repeat(" ", smallBody)+latestReview); got != http.StatusOK {
		t.Errorf("large review: status %d, want 200", got)
	}
	small.Release(maxSmall)
	for range 2 * maxSmall { // each of them ends
		if got := statusOf(t.Context(), latestReview); got != http.StatusOK {
			t.Fatalf("small review: status %d, want 200", got)
		}
	}
}

func TestHandlerRefusesSmallReviewsOfManyObjectsAtOnce(t *testing.T) {
	reserveAll(t)
	defer inFlight.Release(maxInFlight)
	list := strings.TrimSuffix(strings.Repeat("{},", 10_000), ",")
	review := join(uid, pod, create, `"object":{"spec":{"volumes":[`+list+`]}}`)
	var wait sync.WaitGroup
	defer wait.Wait()
	for range maxSmall { // none of them keeps its turn until memory is free
		wait.Go(func() { statusOf(t.Context(), review) })
	}
	if got := statusOf(t.Context(), review); got != http.StatusServiceUnavailable {
		t.Errorf("review of many objects: status %d, want 503", got)
	}
	if got := statusOf(t.Context(), latestReview); got != http.StatusOK {
		t.Errorf("small review: status %d, want 200", got)
	}
}

// statusOf returns the status of the answer to a review.
func statusOf(ctx context.Context, body string) int { return recordAnswerTo(ctx, body).Code }

// recordAnswerTo returns the answer to a review.
func recordAnswerTo(ctx context.Context, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/validating", strings.NewReader(body))
	r.Header.Set("Content-Type", jsonType)
	w := httptest.NewRecorder()
	verdictHandler(slog.New(slog.DiscardHandler), denyBy(image.Policy{})).ServeHTTP(w, r)
	return w
}

func TestHandlerReleasesTheMemoryOfSlowBodies(t *testing.T) {
	srv := httptest.NewServer(verdictHandler(slog.New(slog.DiscardHandler), denyBy(image.Policy{})))
	defer srv.Close()
	client, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if _, err := fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", jsonType, maxBody); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != http.StatusRequestTimeout {
		t.Errorf("status %d, want 408", got.StatusCode)
	}
	_ = got.Body.Close()
	reserveAll(t)
	inFlight.Release(maxInFlight)
}

// brokenReader is a body whose client has closed the connection.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestHandlerRefusesBrokenBodies(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/validating", brokenReader{})
	r.Header.Set("Content-Type", jsonType)
	w := httptest.NewRecorder()
	verdictHandler(slog.New(slog.DiscardHandler), denyBy(image.Policy{})).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || w.Body.String() != "cannot read the body: unexpected EOF\n" {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
}

func TestHandlerBoundsLogLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	policy := newPolicy(t, exampleRules)
	for _, verdict := range []bound{denyBy(policy), warnBy(policy), mutateBy(Changes{Mirrors: policy.Mirrors})} {
		containers := strings.Repeat(fmt.Sprintf(`{"name":%q,"image":"nginx:latest"},`, long[:1000]), 1000)
		body := join(uid, pod, create, fmt.Sprintf(`"namespace":%q`, long),
			fmt.Sprintf(`"object":{"metadata":{"name":%q},"spec":{"containers":[%s{}]}}`, long, containers))
		var logged bytes.Buffer
		if got := post(t, verdictHandler(logger(&logged), verdict), body); got.Status != http.StatusOK {
			t.Errorf("status %d", got.Status)
		}
		if n := logged.Len(); n == 0 || n > 8192 {
			t.Errorf("logged %d bytes", n)
		}
	}
}

func TestHandlerLogsReviewsAtLevelDebug(t *testing.T) {
	// Package reviewlog in tools reads the reviews and answers from the log.
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		var logged bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: level}))
		body := join(uid, pod, create, anObject)
		got := post(t, verdictHandler(log, denyBy(newPolicy(t, exampleRules))), body)
		if level == slog.LevelInfo {
			if logged.Len() > 0 {
				t.Errorf("logged at level info: %s", &logged)
			}
			continue
		}
		var line struct{ Msg, Path, Review, Answer string }
		if err := json.Unmarshal(logged.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		want := []string{"answered", "/validating", body, got.Body}
		if diff := cmp.Diff(want, []string{line.Msg, line.Path, line.Review, line.Answer}); diff != "" {
			t.Errorf("debug line (-want +got):\n%s", diff)
		}
	}
}

func FuzzHandler(f *testing.F) {
	for _, name := range reviews(f) {
		f.Add(review(f, name))
	}
	f.Add([]byte(latestReview))
	for _, tt := range invalidReviews {
		if len(tt.body) < 4096 {
			f.Add([]byte(tt.body))
		}
	}
	// A duplicate key is merged with the first one.
	f.Add([]byte(join(uid, uid, pod, create, anObject, anObject)))
	policy := newPolicy(f, exampleRules)
	var handlers []http.Handler
	for _, list := range []string{`null`, `[]`, `[{"name":"own"}]`, `[{"name":"second"},{}]`, `[null]`, `[7]`, `{}`} {
		f.Add([]byte(join(uid, pod, create, `"object":{"spec":{"imagePullSecrets":`+list+`,"containers":[{"image":"nginx:1.25"}]}}`)))
	}
	all := mutateBy(Changes{Mirrors: policy.Mirrors, AlwaysPull: true, PullSecrets: []string{"mirror", "second"}})
	for _, verdict := range []bound{denyBy(policy), denyBy(strictPolicy(f)), warnBy(policy), mutateBy(Changes{Mirrors: policy.Mirrors}), all, unknownMode} {
		handlers = append(handlers, verdictHandler(slog.New(slog.DiscardHandler), verdict))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, h := range handlers {
			checkAnswer(t, body, serve(h, body))
		}
		checkMutate(t, body, all)
	})
}

// checkAnswer checks that an answer fulfils the contract of the package.
func checkAnswer(t *testing.T, body []byte, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code == http.StatusBadRequest && strings.TrimSpace(w.Body.String()) != "" {
		return
	}
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != http.StatusOK || err != nil {
		t.Fatalf("status %d, %v: %q", w.Code, err, w.Body)
	}
	req, err := decodeBody(body)
	if err != nil {
		t.Fatalf("answered an invalid body: %v", err)
	}
	resp := got.Response
	switch {
	case got.APIVersion != admissionReview.apiVersion || got.Kind != admissionReview.kind || resp == nil || resp.UID == "":
		t.Fatalf("not a review: %s", w.Body)
	case !resp.Allowed && (resp.Result == nil || resp.Result.Code != 403 || resp.Result.Message == ""):
		t.Errorf("denied without a reason: %s", w.Body)
	case !resp.Allowed && !req.isPod():
		t.Errorf("denied an object that is not a pod: %s", w.Body)
	case (resp.PatchType == nil) != (len(resp.Patch) == 0):
		t.Errorf("patch and patch type do not agree: %s", w.Body)
	}
	checkPatch(t, req, resp.Patch)
}

// checkPatch checks that a patch replaces existing images, adds pull policies beside existing images,
// and adds pull secrets to a list that exists or that it has added.
func checkPatch(t *testing.T, req *Request, patch []byte) {
	t.Helper()
	if len(patch) == 0 {
		return
	}
	type operation struct{ Op, Path string }
	valid := map[operation]bool{}
	for img := range req.newImages().Each {
		valid[operation{"replace", string(img.AppendPointer(nil))}] = img.Reference != ""
		valid[operation{"add", string(img.AppendPullPolicyPointer(nil))}] = img.Reference != "" && req.creates()
	}
	list, element := operation{"add", "/spec/imagePullSecrets"}, operation{"add", "/spec/imagePullSecrets/-"}
	hasSecrets := len(pullSecrets(req.Object)) > 0
	valid[list], valid[element] = req.creates() && !hasSecrets, req.creates() && hasSecrets
	var ops []operation
	if err := json.Unmarshal(patch, &ops); err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if !valid[op] {
			t.Errorf("operation %+v does not apply", op)
		}
		if op == list {
			valid[list], valid[element] = false, true
		}
	}
}

// pullSecrets returns the pull secrets of a pod. It returns nil for a list that the API server refuses.
func pullSecrets(o *podimages.Object) (secrets []corev1.LocalObjectReference) {
	if o == nil || json.Unmarshal(o.Spec.PullSecrets, &secrets) != nil {
		return nil
	}
	return secrets
}

// checkMutate checks that the changes to a new pod apply and converge. The pod is encoded again, as
// the API server does: fuzzing produces duplicate keys, and keys in another case.
func checkMutate(t *testing.T, body []byte, mutate bound) {
	t.Helper()
	req, err := decodeBody(body)
	if err != nil || !req.isPod() || !req.creates() || req.OldObject != nil {
		return
	}
	encoded := encodePod(t, req.Object)
	checkConverges(t, mutate, encoded, mutate(created(t, string(encoded))).Patch)
}

// encodePod returns a pod in JSON that has the fields of an object.
func encodePod(t *testing.T, o *podimages.Object) []byte {
	t.Helper()
	pod := corev1.Pod{Spec: corev1.PodSpec{
		Containers: containers(o.Spec.Containers), InitContainers: containers(o.Spec.InitContainers), ImagePullSecrets: pullSecrets(o),
	}}
	for _, c := range containers(o.Spec.EphemeralContainers) {
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: c.Name, Image: c.Image, ImagePullPolicy: c.ImagePullPolicy},
		})
	}
	for _, v := range o.Spec.Volumes {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: v.Reference, PullPolicy: corev1.PullPolicy(v.PullPolicy)},
		}})
	}
	encoded, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func containers(list []podimages.Container) (encoded []corev1.Container) {
	for _, c := range list {
		encoded = append(encoded, corev1.Container{Name: c.Name, Image: c.Image, ImagePullPolicy: corev1.PullPolicy(c.PullPolicy)})
	}
	return encoded
}

// FuzzDigest checks that an image pinned by a digest is never denied, regardless of its tag.
func FuzzDigest(f *testing.F) {
	for _, name := range []string{"nginx", "nginx:latest", "quay.io/x:latest", "registry:5000/app", "Nginx", ""} {
		f.Add(name)
	}
	deny := denyBy(newPolicy(f, exampleRules))
	f.Fuzz(func(t *testing.T, name string) {
		r := created(t, `{"spec":{"containers":[{"name":"app"}]}}`)
		r.Object.Spec.Containers[0].Image = name + digest
		if resp := deny(r); !resp.Allowed && !strings.Contains(resp.Message, "invalid reference") {
			t.Errorf("denied %q: %s", name+digest, resp.Message)
		}
	})
}

func BenchmarkValidating(b *testing.B) {
	benchmark(b, denyBy(newPolicy(b, exampleRules)))
}

func BenchmarkMutating(b *testing.B) {
	benchmark(b, mutateBy(Changes{Mirrors: newPolicy(b, exampleRules).Mirrors}))
}

// benchmark measures a handler from the body to the answer, without HTTP.
func benchmark(b *testing.B, verdict bound) {
	b.Helper()
	report := Reporting{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	h := report.at("", nil).handler(admissionReviews(fixed(image.Policy{}), verdict.verdict))
	for _, name := range []string{"pod-create-1-container", "pod-create-3-containers", "pod-create-10-containers", "pod-create-60-containers", "pod-update-3-containers"} {
		b.Run(name, func(b *testing.B) {
			body := review(b, name)
			content := bytes.NewReader(body)
			r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(content))
			r.ContentLength = int64(len(body))
			r.Header.Set("Content-Type", jsonType)
			w := discardResponse{}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				content.Reset(body)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// newReporter returns a reporter that logs changes.
func newReporter(log *slog.Logger) *reporter {
	report := Reporting{Log: log, LogChanges: true}
	return report.at("", nil)
}

func newHandler(log *slog.Logger, answer answerFunc) http.Handler {
	return newReporter(log).handler(answer)
}

func verdictHandler(log *slog.Logger, verdict bound) http.Handler {
	return newHandler(log, admissionReviews(fixed(image.Policy{}), verdict.verdict))
}

// discardResponse is an http.ResponseWriter that allocates nothing.
type discardResponse http.Header

func (w discardResponse) Header() http.Header         { return http.Header(w) }
func (w discardResponse) WriteHeader(int)             {}
func (w discardResponse) Write(b []byte) (int, error) { return len(b), nil }

// serve calls a handler without a network.
func serve(h http.Handler, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/validating", bytes.NewReader(body))
	r.Header.Set("Content-Type", jsonType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answer is an HTTP response.
type answer struct {
	Status      int
	ContentType string
	Allow       string // of a 405
	Body        string // without the final newline
}

// post sends a body to a handler over HTTP.
func post(t *testing.T, h http.Handler, body string) answer {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	return send(t, srv, http.MethodPost, jsonType, strings.NewReader(body))
}

func send(t *testing.T, srv *httptest.Server, method, contentType string, body io.Reader) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/validating", body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Allow"), strings.TrimSuffix(string(got), "\n")}
}

// logger returns a logger that writes text without times.
func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
