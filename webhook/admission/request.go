package admission

import (
	"errors"
	"fmt"
	"iter"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// namespaceKind is the kind of the objects whose label says how pods are judged.
var namespaceKind = metav1.GroupVersionKind{Version: "v1", Kind: "Namespace"}

// ephemeral is the subresource of pods by which ephemeral containers are added:
// an UPDATE of the whole pod.
const ephemeral = "ephemeralcontainers"

var reviewType = metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}

// Request is an admission request, reduced to what is judged.
type Request struct {
	UID         types.UID               `json:"uid"`
	Kind        metav1.GroupVersionKind `json:"kind"`
	SubResource string                  `json:"subResource"`
	Namespace   string                  `json:"namespace"`
	Operation   admissionv1.Operation   `json:"operation"`
	Object      *podimages.Object       `json:"object"`
	OldObject   *podimages.Object       `json:"oldObject"` // of an UPDATE
}

// isPod reports whether the object runs itself; other objects only make pods.
func (r *Request) isPod() bool { return r.Kind == podimages.Pod }

// creates reports whether the object itself is new: of one that is there, the
// API server lets hardly anything be changed but images.
func (r *Request) creates() bool {
	return r.Operation == admissionv1.Create && r.SubResource == ""
}

// newImages yields the images that the request brings in. What an object had
// before is not judged again, and never rewritten: an old pod must be able to
// lose a finalizer, and a running container must not be restarted. The creation
// of a static pod's mirror pod brings in none: what it names runs already. An
// update can only pretend to be one, with an annotation that is never stored.
func (r *Request) newImages() iter.Seq[podimages.Image] {
	if r.isPod() && r.Operation == admissionv1.Create && r.Object.IsStatic() {
		return func(func(podimages.Image) bool) {}
	}
	return podimages.New(r.Kind, r.Object, r.OldObject)
}

// Decode reads the request of an AdmissionReview in one pass over the body.
// It refuses what the webhook was not asked about; the error is a sentence
// for whoever registered it.
//
// That encoding/json ignores the case of keys and merges a key that stands
// twice does no harm: the API server decodes an object by its schema and
// encodes it again before it asks a webhook.
func Decode(body []byte) (*Request, error) {
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

// check refuses what the webhook was not asked about.
func (r *Request) check() error {
	switch {
	case r.UID == "":
		return errors.New("the request has no uid")
	case !podimages.Has(r.Kind) && r.Kind != namespaceKind, r.SubResource != "" && !(r.isPod() && r.SubResource == ephemeral):
		return fmt.Errorf("the request is about %s: only pods, with their ephemeral containers, what makes pods, and namespaces are judged; register no others",
			describe(r.Kind, r.SubResource))
	case r.Operation != admissionv1.Create && r.Operation != admissionv1.Update:
		return fmt.Errorf("the operation is %s: only CREATE and UPDATE are judged; register no others", quote(string(r.Operation)))
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
