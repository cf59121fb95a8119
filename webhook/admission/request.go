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

// namespaceKind is the kind Namespace, whose label sets the mode.
var namespaceKind = metav1.GroupVersionKind{Version: "v1", Kind: "Namespace"}

// ephemeralContainers is the subresource that adds ephemeral containers to a pod. Its
// requests are UPDATEs of the whole pod.
const ephemeralContainers = "ephemeralcontainers"

var reviewType = metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}

// Request contains the fields of an admission request that are checked.
type Request struct {
	UID         types.UID               `json:"uid"`
	Kind        metav1.GroupVersionKind `json:"kind"`
	SubResource string                  `json:"subResource"`
	Namespace   string                  `json:"namespace"`
	Operation   admissionv1.Operation   `json:"operation"`
	Object      *podimages.Object       `json:"object"`
	OldObject   *podimages.Object       `json:"oldObject"` // only in an UPDATE
}

// isPod reports whether the object is a pod, and not a workload or a Namespace.
func (r *Request) isPod() bool { return r.Kind == podimages.Pod }

// creates reports whether the object is new. Most fields of an existing pod, such as its pull
// policies, are immutable.
func (r *Request) creates() bool {
	return r.Operation == admissionv1.Create && r.SubResource == ""
}

// newImages yields the images that the request adds or changes. Images of the old object are
// neither checked nor rewritten again, so that users can remove a finalizer from an old pod
// and running containers are not restarted. It yields nothing for the creation of a static
// pod's mirror pod, because the kubelet already runs the images. This does not apply to an
// UPDATE, which cannot turn a pod into a mirror pod.
func (r *Request) newImages() iter.Seq[podimages.Image] {
	if r.isPod() && r.Operation == admissionv1.Create && r.Object.IsStatic() {
		return func(func(podimages.Image) bool) {}
	}
	return podimages.NewImages(r.Kind, r.Object, r.OldObject)
}

// decodeRequest returns the request of an AdmissionReview. It refuses requests that the
// webhook must not be registered for. The error tells the author of the webhook configuration
// what to change.
//
// encoding/json ignores the case of keys and merges duplicate keys. This is harmless, because
// the API server decodes and encodes an object itself before it calls a webhook.
func decodeRequest(body []byte) (*Request, error) { return decodeReview[*Request](body) }

// decodeReview returns the request of an AdmissionReview, if its check finds no error. R is a
// pointer to the fields that are checked.
func decodeReview[R interface {
	comparable
	check() error
}](body []byte) (request R, err error) {
	var review struct {
		metav1.TypeMeta `json:",inline"`
		Request         R `json:"request"`
	}
	if err := decode(body, &review, &review.TypeMeta, reviewType); err != nil {
		return request, err
	}
	if review.Request == request { // nil
		return request, errors.New("the AdmissionReview has no request")
	}
	return review.Request, review.Request.check()
}

// decode reads a review of the expected type; got points to the type within review.
func decode(body []byte, review any, got *metav1.TypeMeta, expected metav1.TypeMeta) error {
	if len(body) == 0 {
		return fmt.Errorf("the body is empty: send an %s", expected.Kind)
	}
	// Decoding continues after a field of the wrong type, so that the error for another kind
	// names the kind and not the field.
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

// check returns an error for a request that the webhook must not be registered for.
func (r *Request) check() error {
	switch {
	case r.UID == "":
		return errors.New("the request has no uid")
	case !podimages.HasPodSpec(r.Kind) && r.Kind != namespaceKind, r.SubResource != "" && !(r.isPod() && r.SubResource == ephemeralContainers):
		return fmt.Errorf("the request is for %s: register only pods, their ephemeral containers, workloads that create pods, and namespaces",
			describe(r.Kind, r.SubResource))
	case r.Operation != admissionv1.Create && r.Operation != admissionv1.Update:
		return fmt.Errorf("the operation is %s: register only CREATE and UPDATE", quote(string(r.Operation)))
	case r.Object == nil:
		return errors.New("the request has no object")
	}
	return nil
}

// describe returns a kind and a subresource as text for an error.
func describe(k metav1.GroupVersionKind, subresource string) string {
	s := fmt.Sprintf("kind %s of group %s and version %s", quote(k.Kind), quote(k.Group), quote(k.Version))
	if subresource != "" {
		s += ", subresource " + quote(subresource)
	}
	return s
}
