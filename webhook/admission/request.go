package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// namespaceKind is the kind whose label sets the mode.
var namespaceKind = metav1.GroupVersionKind{Version: "v1", Kind: "Namespace"}

// ephemeralContainers is the subresource of pods that adds ephemeral containers. Its
// requests are UPDATEs of the whole pod.
const ephemeralContainers = "ephemeralcontainers"

var reviewType = metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}

// Request is an admission request, reduced to the fields that are judged.
type Request struct {
	UID         types.UID               `json:"uid"`
	Kind        metav1.GroupVersionKind `json:"kind"`
	SubResource string                  `json:"subResource"`
	Namespace   string                  `json:"namespace"`
	Operation   admissionv1.Operation   `json:"operation"`
	Object      *podimages.Object       `json:"object"`
	OldObject   *podimages.Object       `json:"oldObject"` // of an UPDATE
}

// isPod reports whether the object is a pod. Objects of other kinds only create pods.
func (r *Request) isPod() bool { return r.Kind == podimages.Pod }

// creates reports whether the object is new. The API server allows hardly any change of an
// existing pod except its images.
func (r *Request) creates() bool {
	return r.Operation == admissionv1.Create && r.SubResource == ""
}

// newImages yields the images that the request adds or changes. Images that the old object
// has are not judged again and never rewritten: it must be possible to remove a finalizer
// from an old pod, and a running container must not be restarted. The creation of a static
// pod's mirror pod yields none, because the kubelet runs its images already; an UPDATE that
// adds the annotation of mirror pods yields its images, because the API server never stores
// that annotation.
func (r *Request) newImages() iter.Seq[podimages.Image] {
	if r.isPod() && r.Operation == admissionv1.Create && r.Object.IsStatic() {
		return func(func(podimages.Image) bool) {}
	}
	return podimages.New(r.Kind, r.Object, r.OldObject)
}

// decodeRequest reads the request of an AdmissionReview in one pass over the body. It refuses
// requests that the webhook is not registered for; the error is a sentence for the author
// of the registration.
//
// encoding/json ignores the case of keys and merges duplicate keys. That is harmless here:
// the API server decodes an object by its schema and encodes it again before it calls a
// webhook.
func decodeRequest(body []byte) (*Request, error) {
	var review struct {
		metav1.TypeMeta `json:",inline"`
		Request         *Request `json:"request"`
	}
	if err := decode(body, &review, &review.TypeMeta, reviewType); err != nil {
		return nil, err
	}
	if review.Request == nil {
		return nil, errors.New("the AdmissionReview has no request")
	}
	return review.Request, review.Request.check()
}

// decode reads a review of the expected type; got points to the type within review.
func decode(body []byte, review any, got *metav1.TypeMeta, expected metav1.TypeMeta) error {
	if len(body) == 0 {
		return fmt.Errorf("the body is empty: send an %s", expected.Kind)
	}
	// A field of the wrong type does not end the decoding, so that the error for a body of
	// another kind names the kind instead of its first unexpected field.
	err := json.Unmarshal(body, review)
	var mismatch *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &mismatch) {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if *got != expected {
		return fmt.Errorf("the body is not an %s of %s: its apiVersion is %s and its kind %s",
			expected.Kind, expected.APIVersion, quote(got.APIVersion), quote(got.Kind))
	}
	if mismatch != nil {
		return fmt.Errorf("the field %s of the %s must not be a JSON %s", mismatch.Field, expected.Kind, mismatch.Value)
	}
	return nil
}

// check refuses requests that the webhook must not be registered for.
func (r *Request) check() error {
	switch {
	case r.UID == "":
		return errors.New("the request has no uid")
	case !podimages.Has(r.Kind) && r.Kind != namespaceKind, r.SubResource != "" && !(r.isPod() && r.SubResource == ephemeralContainers):
		return fmt.Errorf("the request is for %s: register only pods, their ephemeral containers, workloads that create pods, and namespaces",
			describe(r.Kind, r.SubResource))
	case r.Operation != admissionv1.Create && r.Operation != admissionv1.Update:
		return fmt.Errorf("the operation is %s: register only CREATE and UPDATE", quote(string(r.Operation)))
	case r.Object == nil:
		return errors.New("the request has no object")
	}
	return nil
}

// describe names a kind and a subresource for an error.
func describe(k metav1.GroupVersionKind, subresource string) string {
	s := fmt.Sprintf("kind %s of group %s and version %s", quote(k.Kind), quote(k.Group), quote(k.Version))
	if subresource != "" {
		s += ", subresource " + quote(subresource)
	}
	return s
}
