package admission

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// unusualTexts are strings that need escapes in JSON, or nearly.
var unusualTexts = []string{
	"", "a", `"`, `\`, "/", "a\nb\tc\rd", "\x00\x01\x1f\x7f", "<&>'", "\u2028\u2029", "\u00fc\U0001f600",
	"\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("x", 5000),
}

func TestAnswersDecodeToTheResponse(t *testing.T) {
	kind := admissionv1.PatchTypeJSONPatch
	for _, text := range unusualTexts {
		decoded := string([]rune(text)) // encoding/json replaces invalid UTF-8 in the same way
		tests := []struct {
			resp Response
			want admissionv1.AdmissionResponse
		}{
			{Response{Allowed: true}, admissionv1.AdmissionResponse{Allowed: true}},
			{
				Response{Message: text, Warnings: []string{text, "w"}},
				admissionv1.AdmissionResponse{
					Warnings: []string{decoded, "w"}, AuditAnnotations: map[string]string{"uid": decoded},
					Result: &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: decoded},
				},
			},
			{
				Response{Allowed: true, Patch: []byte(text + "x"), Changes: []Change{{Field: "key" + text, From: text, To: text}, {Field: "k", To: "b"}}},
				admissionv1.AdmissionResponse{
					Allowed: true, Patch: []byte(text + "x"), PatchType: &kind,
					AuditAnnotations: map[string]string{"key" + decoded: strings.TrimPrefix(decoded+" -> "+decoded, " "), "k": "-> b"},
				},
			},
		}
		for _, tt := range tests {
			tt.want.UID = types.UID(decoded)
			var got admissionv1.AdmissionReview
			if err := json.Unmarshal(tt.resp.append(nil, text, ""), &got); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			want := admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Response: &tt.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", text, diff)
			}
		}
	}
}

func TestAnswersHaveTheVersionOfThePolicy(t *testing.T) {
	changed := Response{Allowed: true, Patch: []byte("[]"), Changes: []Change{{Field: "k", To: "b"}}}
	warned := changed
	warned.Warnings = []string{"w"}
	for _, version := range append(unusualTexts, "0123456789ab") {
		decoded := string([]rune(version))
		tests := []struct {
			name string
			resp Response
			want map[string]string // without the version
		}{
			{"allowed", Response{Allowed: true}, map[string]string{}},
			{"changed", changed, map[string]string{"k": "-> b"}},
			{"warned", warned, map[string]string{"k": "-> b", "uid": "u"}},
			{"denied", Response{Message: "m"}, map[string]string{"uid": "u"}},
		}
		for _, tt := range tests {
			if version != "" {
				tt.want["policy"] = decoded
			}
			var got admissionv1.AdmissionReview
			if err := json.Unmarshal(tt.resp.append(nil, "u", version), &got); err != nil {
				t.Fatalf("%s with version %q: %v", tt.name, version, err)
			}
			if diff := cmp.Diff(tt.want, got.Response.AuditAnnotations, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s with version %q: annotations (-want +got):\n%s", tt.name, version, diff)
			}
		}
	}
}

// The rules can change at any time, but an answer has the version of the rules that it was decided by.
func TestAnswersHaveTheVersionThatDecided(t *testing.T) {
	denies := &Rules{Policy: newPolicy(t, ""), Version: "denies"}
	allows := &Rules{Version: "allows"}
	calls := 0
	handler := Handlers(Reporting{Log: slog.New(slog.DiscardHandler)}, func() *Rules {
		if calls++; calls%2 == 1 {
			return denies
		}
		return allows
	})["/validating"]
	for range 4 {
		var got admissionv1.AdmissionReview
		if err := json.Unmarshal(serve(handler, []byte(latestReview)).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if version := got.Response.AuditAnnotations["policy"]; (version == "allows") != got.Response.Allowed {
			t.Errorf("version %q of an answer with allowed=%v", version, got.Response.Allowed)
		}
	}
	if calls != 4 {
		t.Errorf("the source was called %d times for 4 reviews", calls)
	}
}

// TestAnswersDoNotMixReviews sends different reviews at the same time. Their buffers are used
// again and again, and each answer must belong to its review.
func TestAnswersDoNotMixReviews(t *testing.T) {
	policy := newPolicy(t, exampleRules)
	log := slog.New(slog.DiscardHandler)
	handlers := Handlers(Reporting{Log: log, LogChanges: true}, Fixed(Rules{Policy: policy, Changes: Changes{Mirrors: policy.Mirrors}}))
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := range 200 {
				id := fmt.Sprintf("%d-%d-x%s", worker, n, strings.Repeat("x", (worker*n)%150))
				checkOwnAnswer(t, handlers["/mutating"], id, "m/"+id+":1", "docker.mirror.example/m/"+id+":1")
				checkOwnAnswer(t, handlers["/validating"], id, "v/"+id+":latest", "v/"+id+":latest")
			}
		})
	}
	wg.Wait()
}

// checkOwnAnswer checks that the answer to a review has its ID and names its image.
func checkOwnAnswer(t *testing.T, h http.Handler, id, image, want string) {
	body := join(fmt.Sprintf(`"uid":%q`, id), pod, create, fmt.Sprintf(`"object":{"spec":{"containers":[{"name":"app","image":%q}]}}`, image))
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(serve(h, []byte(body)).Body.Bytes(), &got); err != nil {
		t.Errorf("%s: %v", id, err)
		return
	}
	if got.Response.UID != types.UID(id) {
		t.Errorf("the answer to %s has the ID %s", id, got.Response.UID)
	}
	about := string(got.Response.Patch)
	if got.Response.Result != nil {
		about = got.Response.Result.Message
	}
	if !strings.Contains(about, want) {
		t.Errorf("the answer to %s is about %.200s", id, about)
	}
}
