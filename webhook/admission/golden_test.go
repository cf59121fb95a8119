package admission

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

// update regenerates the answers: go test ./webhook/admission -update. `make record`
// records the reviews from a real API server.
var update = flag.Bool("update", false, "write the golden answers in testdata/answers")

// reviews returns the names of the recorded reviews.
func reviews(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/reviews/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no reviews in testdata: %v", err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return names
}

// review returns the body of a recorded review as the API server sent it, on one line.
func review(t testing.TB, name string) []byte {
	t.Helper()
	indented, err := os.ReadFile(filepath.Join("testdata", "reviews", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, indented); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return body.Bytes()
}

// golden is a response in readable form, with its patch as JSON.
type golden struct {
	Allowed  bool
	Message  []string          `json:",omitempty"` // by lines
	Warnings []string          `json:",omitempty"`
	Patch    json.RawMessage   `json:",omitempty"`
	Audit    map[string]string `json:",omitempty"`
}

func goldenOf(resp *admissionv1.AdmissionResponse) golden {
	g := golden{Allowed: resp.Allowed, Warnings: resp.Warnings, Patch: resp.Patch, Audit: resp.AuditAnnotations}
	if resp.Result != nil {
		g.Message = strings.Split(resp.Result.Message, "\n")
	}
	return g
}

func TestEveryRecordedReviewHasItsGoldenAnswers(t *testing.T) {
	policy := newPolicy(t, exampleRules)
	for _, name := range reviews(t) {
		t.Run(name, func(t *testing.T) {
			req, err := decodeBody(review(t, name))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			err = encoder.Encode(map[string]golden{
				"/validating":              goldenOf(decide(t, denyBy(policy), req)),
				"/validating/warn":         goldenOf(decide(t, warnBy(policy), req)),
				"/validating/unknown-mode": goldenOf(decide(t, unknownMode, req)),
				"/mutating":                goldenOf(decide(t, mutateBy(Changes{Mirrors: policy.Mirrors}), req)),
				"/mutating/warn":           goldenOf(decide(t, mutateAndWarnBy(policy), req)),
			})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", "answers", name+".json"), got.Bytes())
		})
	}
}

// compare compares an answer with its file, or writes the file.
func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestDecodeKeepsTheFieldsThatVerdictsNeed(t *testing.T) {
	req, err := decodeBody(review(t, "pod-update-set-image"))
	if err != nil {
		t.Fatal(err)
	}
	if req.UID == "" || !req.isPod() || req.Operation != operationUpdate || req.OldObject == nil || req.Object.DisplayName() == "" {
		t.Errorf("request %+v", req)
	}
	var images []string
	for i := range req.newImages().Each {
		images = append(images, i.Reference)
	}
	if diff := cmp.Diff([]string{"nginx:1.26"}, images); diff != "" {
		t.Errorf("new images (-want +got):\n%s", diff)
	}
}

func TestRecordedReviewsConverge(t *testing.T) {
	// The API server may call the webhook again after a change.
	mutate := mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors, AlwaysPull: true})
	patches := 0
	for _, name := range reviews(t) {
		body := review(t, name)
		req, err := decodeBody(body)
		if err != nil {
			t.Fatal(err)
		}
		if resp := mutate(req); req.creates() && resp.Patch != nil {
			checkConverges(t, mutate, rawObject(t, body), resp.Patch)
			patches++
		}
	}
	if patches == 0 {
		t.Error("no review has a pod that is changed")
	}
}

// rawObject returns the undecoded object of a review.
func rawObject(t *testing.T, body []byte) []byte {
	t.Helper()
	var raw struct {
		Request struct{ Object json.RawMessage }
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		t.Fatal(err)
	}
	return raw.Request.Object
}

func TestPatchKeepsFieldsThatTheWebhookDoesNotKnow(t *testing.T) {
	body := review(t, "pod-create-full")
	mutate := mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors, AlwaysPull: true})
	for _, known := range []string{`"spec":{`, `"image":{`, `"metadata":{`} {
		body = bytes.ReplaceAll(body, []byte(known), []byte(known+`"futureField":{"a":[1.50,null,"\u00fc"]},`))
	}
	req, err := decodeBody(body)
	if err != nil {
		t.Fatal(err)
	}
	before, patch := rawObject(t, body), mutate(req).Patch
	patched := applyPatch(t, before, patch)
	if !bytes.Contains(patch, []byte(`"replace"`)) || !bytes.Contains(patch, []byte(`"add"`)) || !bytes.Contains(patched, []byte("futureField")) {
		t.Fatal("the patch lacks a change, or the pod has no unknown field")
	}
	restored := applyPatch(t, patched, inverse(t, req, patch))
	if diff := cmp.Diff(generic(t, before), generic(t, restored)); diff != "" {
		t.Errorf("other fields than images and pull policies (-before +after):\n%s", diff)
	}
}

func applyPatch(t *testing.T, document, patch []byte) []byte {
	t.Helper()
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := decoded.Apply(document)
	if err != nil {
		t.Fatal(err)
	}
	return patched
}

// inverse returns the patch that restores the images and the pull policies.
func inverse(t *testing.T, req *Request, patch []byte) []byte {
	t.Helper()
	written := map[string]string{}
	for i := range req.newImages().Each {
		written[string(i.AppendPointer(nil))], written[string(i.AppendPullPolicyPointer(nil))] = i.Reference, i.PullPolicy
	}
	var ops []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	if err := json.Unmarshal(patch, &ops); err != nil {
		t.Fatal(err)
	}
	for i := range ops {
		ops[i].Value = written[ops[i].Path]
	}
	back, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func generic(t *testing.T, document []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(document, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
