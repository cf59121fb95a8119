package admission

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// namespaceReview returns the review of a new namespace with this metadata.
func namespaceReview(user, metadata string) string {
	name, _ := json.Marshal(user)
	return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1",`+
		`"kind":{"group":"","version":"v1","kind":"Namespace"},"operation":"CREATE","userInfo":{"username":%s,"groups":["g"]},`+
		`"object":{"apiVersion":"v1","kind":"Namespace","metadata":%s,"spec":{}}}}`, name, metadata)
}

func TestNamespaceOwners(t *testing.T) {
	const (
		mine  = `"annotations":{"image-webhook.dev/owner":"alice"}`
		other = `"annotations":{"image-webhook.dev/owner":"bob","a":"b"}`
	)
	tests := []struct {
		name     string
		chosen   bool // the requester may choose the owner
		user     string
		metadata string
		want     string // metadata after the patch; empty: denied
		message  string // of the denial
		log      string
	}{
		{"nothing set", false, "alice", `{"name":"shop"}`, `{"name":"shop","annotations":{"image-webhook.dev/owner":"alice"},"labels":{"image-webhook.dev/tenancy":"pending"}}`, "", "level=INFO msg=stamped object=namespace/shop user=alice uid=u1 owner=alice tenancy=pending\n"},
		{"null maps", false, "alice", `{"name":"shop","annotations":null,"labels":null}`, `{"name":"shop","annotations":{"image-webhook.dev/owner":"alice"},"labels":{"image-webhook.dev/tenancy":"pending"}}`, "", "level=INFO msg=stamped object=namespace/shop user=alice uid=u1 owner=alice tenancy=pending\n"},
		{"other pairs", false, "alice", `{"generateName":"shop-","annotations":{"a":"b"},"labels":{"c":"d"}}`, `{"generateName":"shop-","annotations":{"a":"b","image-webhook.dev/owner":"alice"},"labels":{"c":"d","image-webhook.dev/tenancy":"pending"}}`, "", "level=INFO msg=stamped object=namespace/shop-* user=alice uid=u1 owner=alice tenancy=pending\n"},
		{"empty maps", false, "alice", `{"name":"shop","annotations":{},"labels":{}}`, `{"name":"shop","annotations":{"image-webhook.dev/owner":"alice"},"labels":{"image-webhook.dev/tenancy":"pending"}}`, "", "level=INFO msg=stamped object=namespace/shop user=alice uid=u1 owner=alice tenancy=pending\n"},
		{"a name with every kind of character", false, `oidc:Zoë/"a" ~1%`, `{"name":"shop"}`, `{"name":"shop","annotations":{"image-webhook.dev/owner":"oidc:Zoë/\"a\" ~1%"},"labels":{"image-webhook.dev/tenancy":"pending"}}`, "", "level=INFO msg=stamped object=namespace/shop user=\"oidc:Zoë/\\\"a\\\" ~1%\" uid=u1 owner=\"oidc:Zoë/\\\"a\\\" ~1%\" tenancy=pending\n"},
		{"already stamped", false, "alice", `{"name":"shop",` + mine + `,"labels":{"image-webhook.dev/tenancy":"pending"}}`, `{"name":"shop",` + mine + `,"labels":{"image-webhook.dev/tenancy":"pending"}}`, "", ""},
		{"another owner", false, "alice", `{"name":"shop",` + other + `}`, "", `user "alice" cannot create a namespace with the owner "bob": delete the annotation image-webhook.dev/owner; only users with the verb set-owner on namespaces choose another owner`, "level=WARN msg=denied object=namespace/shop user=alice uid=u1 reason=\"user \\\"alice\\\" cannot create a namespace with the owner \\\"bob\\\": delete the annotation image-webhook.dev/owner; only users with the verb set-owner on namespaces choose another owner\"\n"},
		{"a chosen owner", true, "root", `{"name":"shop",` + other + `}`, `{"name":"shop",` + other + `,"labels":{"image-webhook.dev/tenancy":"pending"}}`, "", "level=INFO msg=stamped object=namespace/shop user=root uid=u1 owner=\"\" tenancy=pending\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged strings.Builder
			h := newHandler(logger(&logged), namespaceOwners(stampRequester))
			if tt.chosen {
				h = newHandler(logger(&logged), namespaceOwners(stampChosen))
			}
			checkStamp(t, answerTo(t, h, namespaceReview(tt.user, tt.metadata)), tt.metadata, tt.want, tt.message)
			if diff := cmp.Diff(tt.log, logged.String()); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

// answerTo returns the response to a valid review.
func answerTo(t *testing.T, h http.Handler, review string) *admissionv1.AdmissionResponse {
	t.Helper()
	w := serve(h, []byte(review))
	var answered admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answered); err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return answered.Response
}

func checkStamp(t *testing.T, got *admissionv1.AdmissionResponse, metadata, want, message string) {
	t.Helper()
	if got.UID != "u1" || got.Allowed != (want != "") {
		t.Fatalf("got %+v", got)
	}
	if !got.Allowed {
		if got.Result.Message != message || got.Result.Code != http.StatusForbidden {
			t.Errorf("got %+v, want %s", got.Result, message)
		}
		return
	}
	patched := []byte(`{"metadata":` + metadata + `}`)
	if len(got.Patch) > 0 {
		patch, err := jsonpatch.DecodePatch(got.Patch)
		if err == nil {
			patched, err = patch.Apply(patched)
		}
		if err != nil {
			t.Fatalf("patch %s: %v", got.Patch, err)
		}
	}
	if !jsonpatch.Equal(patched, []byte(`{"metadata":`+want+`}`)) {
		t.Errorf("got %s, want %s", patched, want)
	}
}

func TestNamespaceOwnersRefuseOtherReviews(t *testing.T) {
	review := namespaceReview("alice", `{"name":"shop"}`)
	for _, tt := range []struct{ old, new, want string }{
		{review, ``, "the body is empty"},
		{`"request":{"uid":"u1"`, `"requests":{"uid":"u1"`, "the AdmissionReview has no request: add the field request"},
		{`"uid":"u1"`, `"uid":""`, "the request has no uid: add the field uid"},
		{`"kind":"Namespace"},`, `"kind":"Pod"},`, `the request is for kind "Pod" of group "" and version "v1": register only namespaces`},
		{`"operation"`, `"subResource":"status","operation"`, `the request is for kind "Namespace" of group "" and version "v1", subresource "status": register only namespaces`},
		{`CREATE`, `UPDATE`, `the operation is "UPDATE": register only CREATE`},
		{`"object"`, `"objects"`, "the request has no object: add the field object"},
		{`{"name":"shop"}`, `{"labels":7}`, "the field request.object.metadata.labels of the AdmissionReview must have the JSON type object, not number"},
	} {
		w := serve(newHandler(slog.New(slog.DiscardHandler), namespaceOwners(stampRequester)), []byte(strings.Replace(review, tt.old, tt.new, 1)))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: got %d %s, want %s", tt.new, w.Code, w.Body, tt.want)
		}
	}
}

func FuzzNamespaceOwners(f *testing.F) {
	f.Add("alice", `{"name":"shop"}`)
	f.Add("a\nb", `{"annotations":{"image-webhook.dev/owner":"x"},"labels":null}`)
	f.Fuzz(func(t *testing.T, user, written string) {
		var meta metav1.ObjectMeta // the API server decodes and encodes an object itself
		if json.Unmarshal([]byte(written), &meta) != nil {
			t.Skip()
		}
		encoded, err := json.Marshal(meta)
		if err != nil {
			t.Skip()
		}
		metadata := string(encoded)
		review := namespaceReview(user, metadata)
		r, err := decodeReview[namespaceRequest](&exchange{body: []byte(review)})
		if err != nil {
			return
		}
		got := answerTo(t, newHandler(slog.New(slog.DiscardHandler), namespaceOwners(stampRequester)), review)
		if len(got.Patch) == 0 {
			return
		}
		patch, err := jsonpatch.DecodePatch(got.Patch)
		if err != nil {
			t.Fatal(err)
		}
		patched, err := patch.Apply([]byte(`{"metadata":` + metadata + `}`))
		if err != nil {
			t.Fatalf("the patch does not apply: %v", err)
		}
		var stamped struct {
			Metadata struct{ Annotations, Labels map[string]string }
		}
		if err := json.Unmarshal(patched, &stamped); err != nil {
			t.Fatal(err)
		}
		if stamped.Metadata.Annotations["image-webhook.dev/owner"] != r.username || stamped.Metadata.Labels["image-webhook.dev/tenancy"] != "pending" {
			t.Errorf("the namespace is not stamped with %q: %s", r.username, patched)
		}
	})
}
