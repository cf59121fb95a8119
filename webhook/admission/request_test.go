package admission

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reviewOf returns a review with the fields of its request in JSON.
func reviewOf(fields string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{` + fields + `}}`
}

const (
	uid      = `"uid":"u"`
	pod      = `"kind":{"group":"","version":"v1","kind":"Pod"}`
	create   = `"operation":"CREATE"`
	anObject = `"object":{"spec":{"containers":[{"name":"app","image":"nginx:1.25"}]}}`
)

func join(fields ...string) string { return reviewOf(strings.Join(fields, ",")) }

// invalidReviews are bodies that decodeReview refuses, with its errors.
var invalidReviews = []struct{ name, body, want string }{
	{"empty", "", "the body is empty: send an AdmissionReview"},
	{"blank", " \n", "the body is not JSON: unexpected end: send an AdmissionReview as uncompressed JSON in UTF-8"},
	{"text", "hello", "the body is not JSON: unexpected byte 'h' at 0: send an AdmissionReview as uncompressed JSON in UTF-8"},
	{"truncated", `{"kind":"Admis`, "the body is not JSON: unexpected end: send an AdmissionReview as uncompressed JSON in UTF-8"},
	{"trailing", join(uid, pod, create, anObject) + "{}", "the body is not JSON: unexpected byte '{' at 223: send an AdmissionReview as uncompressed JSON in UTF-8"},
	{"deep", `{"x":` + strings.Repeat("[", 1<<20), "the body is nested deeper than 200 levels: use fewer levels"},
	{"null", "null", `the body is not an AdmissionReview of admission.k8s.io/v1: its apiVersion is "" and its kind "": send only this kind and version to this path`},
	{"array", "[]", "the AdmissionReview must have the JSON type object, not array"},
	{"empty object", "{}", `the body is not an AdmissionReview of admission.k8s.io/v1: its apiVersion is "" and its kind "": send only this kind and version to this path`},
	{"odd kind", `{"kind":7}`, "the field kind of the AdmissionReview must have the JSON type string, not number"},
	{"odd uid before the kind", `{"request":{"uid":7},"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, "the field request.uid of the AdmissionReview must have the JSON type string, not number"},
	{"odd uid after another kind", `{"apiVersion":"v1","kind":"Pod","request":{"uid":7}}`, `the body is not an AdmissionReview of admission.k8s.io/v1: its apiVersion is "v1" and its kind "Pod": send only this kind and version to this path`},
	{"a pod", `{"apiVersion":"v1","kind":"Pod"}`, `the body is not an AdmissionReview of admission.k8s.io/v1: its apiVersion is "v1" and its kind "Pod": send only this kind and version to this path`},
	{"old version", `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}`, `the body is not an AdmissionReview of admission.k8s.io/v1: its apiVersion is "admission.k8s.io/v1beta1" and its kind "AdmissionReview": send only this kind and version to this path`},
	{"no request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, "the AdmissionReview has no request: add the field request"},
	{"null request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`, "the AdmissionReview has no request: add the field request"},
	{"odd request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":"x"}`, "the field request of the AdmissionReview must have the JSON type object, not string"},
	{"no uid", join(pod, create, anObject), "the request has no uid: add the field uid"},
	{"empty uid", join(`"uid":""`, pod, create, anObject), "the request has no uid: add the field uid"},
	{"no kind", join(uid, create, anObject), `the request is for kind "" of group "" and version "": register only pods, their ephemeral containers, workloads that create pods, and namespaces`},
	{"old deployment", join(uid, `"kind":{"group":"apps","version":"v1beta1","kind":"Deployment"}`, create, anObject), `the request is for kind "Deployment" of group "apps" and version "v1beta1": register only pods, their ephemeral containers, workloads that create pods, and namespaces`},
	{"pod of a group", join(uid, `"kind":{"group":"metrics.k8s.io","version":"v1","kind":"Pod"}`, create, anObject), `the request is for kind "Pod" of group "metrics.k8s.io" and version "v1": register only pods, their ephemeral containers, workloads that create pods, and namespaces`},
	{"service", join(uid, `"kind":{"group":"","version":"v1","kind":"Service"}`, create, anObject), `the request is for kind "Service" of group "" and version "v1": register only pods, their ephemeral containers, workloads that create pods, and namespaces`},
	{"subresource", join(uid, pod, `"subResource":"status"`, create, anObject), `the request is for kind "Pod" of group "" and version "v1", subresource "status": register only pods, their ephemeral containers, workloads that create pods, and namespaces`},
	{"subresource of a deployment", join(uid, `"kind":{"group":"apps","version":"v1","kind":"Deployment"}`, `"subResource":"ephemeralcontainers"`, create, anObject), `the request is for kind "Deployment" of group "apps" and version "v1", subresource "ephemeralcontainers": register only pods, their ephemeral containers, workloads that create pods, and namespaces`},
	{"delete", join(uid, pod, `"operation":"DELETE"`, anObject), `the operation is "DELETE": register only CREATE and UPDATE`},
	{"connect", join(uid, pod, `"operation":"CONNECT"`, anObject), `the operation is "CONNECT": register only CREATE and UPDATE`},
	{"no operation", join(uid, pod, anObject), `the operation is "": register only CREATE and UPDATE`},
	{"no object", join(uid, pod, create), "the request has no object: add the field object"},
	{"null object", join(uid, pod, create, `"object":null`), "the request has no object: add the field object"},
	{"odd object", join(uid, pod, create, `"object":[]`), "the field request.object of the AdmissionReview must have the JSON type object, not array"},
	{"odd old object", join(uid, pod, `"operation":"UPDATE"`, anObject, `"oldObject":"x"`), "the field request.oldObject of the AdmissionReview must have the JSON type object, not string"},
	{"odd image", join(uid, pod, create, `"object":{"spec":{"containers":[{"image":7}]}}`), "the field request.object.spec.containers.image of the AdmissionReview must have the JSON type string, not number"},
}

// decodeBody returns the request of a review.
func decodeBody(body []byte) (*Request, error) {
	x := &exchange{body: body, memory: reservation{context: context.Background()}}
	defer x.memory.release()
	return decodeReview[Request](x)
}

func TestDecodeRefusesInvalidReviews(t *testing.T) {
	for _, tt := range invalidReviews {
		t.Run(tt.name, func(t *testing.T) {
			r, err := decodeBody([]byte(tt.body))
			if err == nil {
				t.Fatalf("accepted as %+v", r)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeBoundsItsErrors(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, body := range []string{
		fmt.Sprintf(`{"kind":%q}`, long),
		join(uid, fmt.Sprintf(`"kind":{"kind":%q}`, long)),
		join(uid, pod, fmt.Sprintf(`"operation":%q`, long)),
	} {
		_, err := decodeBody([]byte(body))
		if err == nil {
			t.Fatal("accepted")
		}
		if n := len(err.Error()); n > 1024 {
			t.Errorf("the error has %d bytes", n)
		}
	}
}
