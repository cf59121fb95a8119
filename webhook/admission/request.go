package admission

import (
	"errors"
	"fmt"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// namespaceKind is the kind Namespace, whose label sets the mode.
var namespaceKind = podimages.Kind{Version: "v1", Kind: "Namespace"}

// operationCreate and operationUpdate are the operations that are checked.
const (
	operationCreate = "CREATE"
	operationUpdate = "UPDATE"
)

// ephemeralContainers is the subresource that adds ephemeral containers to a pod. Its
// requests are UPDATEs of the whole pod.
const ephemeralContainers = "ephemeralcontainers"

var admissionReview = reviewType{"admission.k8s.io/v1", "AdmissionReview"}

// Request contains the fields of an AdmissionRequest that are checked.
type Request struct {
	UID         string
	User        string
	Kind        podimages.Kind
	SubResource string
	Namespace   string
	Operation   string
	Object      *podimages.Object
	OldObject   *podimages.Object // only in an UPDATE

	objects [2]podimages.Object // what decode lets Object and OldObject point to
}

// isPod reports whether the object is a pod, and not a workload or a Namespace.
func (r *Request) isPod() bool { return r.Kind == podimages.Pod }

// creates reports whether the object is new. Most fields of an existing pod, such as its pull
// policies, are immutable.
func (r *Request) creates() bool {
	return r.Operation == operationCreate && r.SubResource == ""
}

// newImages returns the images that the request adds or changes. Images of the old object are
// neither checked nor rewritten again, so that users can remove a finalizer from an old pod
// and running containers are not restarted. It returns none for the creation of a static
// pod's mirror pod, because the kubelet already runs the images. This does not apply to an
// UPDATE, which cannot turn a pod into a mirror pod.
func (r *Request) newImages() podimages.Images {
	if r.isPod() && r.Operation == operationCreate && r.Object.IsStatic() {
		return podimages.Images{}
	}
	return podimages.Images{Kind: r.Kind, Object: r.Object, Old: r.OldObject}
}

// decodeReview returns the request of an AdmissionReview, if its check finds no error. The
// error tells the author of the webhook configuration what to change.
func decodeReview[R any, P interface {
	*R
	decode(*jsonfields.Decoder) error
	check() error
}](x *exchange) (P, error) {
	var request *R
	err := x.decode(admissionReview, func(d *jsonfields.Decoder, key string) error {
		if key != "request" {
			return d.Skip()
		}
		return jsonfields.Optional(d, &request, new(R), func(r *R) error { return P(r).decode(d) })
	})
	switch {
	case err != nil:
		return nil, err
	case request == nil:
		return nil, errors.New("the AdmissionReview has no request: add the field request")
	}
	return request, P(request).check()
}

// decode reads the request.
func (r *Request) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "uid":
			return d.Text(&r.UID)
		case "kind":
			return decodeKind(d, &r.Kind)
		case "subResource":
			return d.Text(&r.SubResource)
		case "namespace":
			return d.Text(&r.Namespace)
		case "operation":
			return d.Text(&r.Operation)
		case "userInfo":
			return d.Member("username", func() error { return d.Text(&r.User) })
		case "object":
			return decodeObject(d, &r.Object, &r.objects[0])
		case "oldObject":
			return decodeObject(d, &r.OldObject, &r.objects[1])
		}
		return d.Skip()
	})
}

func decodeObject(d *jsonfields.Decoder, object **podimages.Object, storage *podimages.Object) error {
	return jsonfields.Optional(d, object, storage, func(o *podimages.Object) error { return o.Decode(d) })
}

func decodeKind(d *jsonfields.Decoder, kind *podimages.Kind) error {
	return d.Object(func(key string) error {
		switch key {
		case "group":
			return d.Text(&kind.Group)
		case "version":
			return d.Text(&kind.Version)
		case "kind":
			return d.Text(&kind.Kind)
		}
		return d.Skip()
	})
}

// check returns an error for a request that the webhook must not be registered for.
func (r *Request) check() error {
	switch {
	case r.UID == "":
		return errors.New("the request has no uid: add the field uid")
	case !podimages.HasPodSpec(r.Kind) && r.Kind != namespaceKind, r.SubResource != "" && !(r.isPod() && r.SubResource == ephemeralContainers):
		return fmt.Errorf("the request is for %s: register only pods, their ephemeral containers, workloads that create pods, and namespaces",
			describe(r.Kind, r.SubResource))
	case r.Operation != operationCreate && r.Operation != operationUpdate:
		return fmt.Errorf("the operation is %s: register only CREATE and UPDATE", quote(r.Operation))
	case r.Object == nil:
		return errors.New("the request has no object: add the field object")
	}
	return nil
}

// describe returns a kind and a subresource as text for an error.
func describe(k podimages.Kind, subresource string) string {
	s := fmt.Sprintf("kind %s of group %s and version %s", quote(k.Kind), quote(k.Group), quote(k.Version))
	if subresource != "" {
		s += ", subresource " + quote(subresource)
	}
	return s
}
