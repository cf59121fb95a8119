package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/webhook/owner"
)

// namespaceRequest contains the fields that decide about the owner of a new namespace.
type namespaceRequest struct {
	UID         types.UID               `json:"uid"`
	Kind        metav1.GroupVersionKind `json:"kind"`
	SubResource string                  `json:"subResource"`
	Operation   admissionv1.Operation   `json:"operation"`
	UserInfo    struct {
		Username string `json:"username"`
	} `json:"userInfo"`
	Object *struct {
		Metadata struct {
			Name         string            `json:"name"`
			GenerateName string            `json:"generateName"`
			Annotations  map[string]string `json:"annotations"`
			Labels       map[string]string `json:"labels"`
		} `json:"metadata"`
	} `json:"object"`
}

// NamespaceOwners returns a handler that writes the requester into a new namespace, as its
// owner. It denies a namespace that names another owner.
func NamespaceOwners(log *slog.Logger) http.Handler {
	return namespaceHandler(log, func(r *namespaceRequest) (owner.Stamp, error) {
		return owner.StampRequester(r.namespace(), r.UserInfo.Username)
	})
}

// ChosenNamespaceOwners returns a handler for requesters who may choose the owner. The API
// server calls it only if the namespace names one.
func ChosenNamespaceOwners(log *slog.Logger) http.Handler {
	return namespaceHandler(log, func(r *namespaceRequest) (owner.Stamp, error) { return owner.StampChosen(r.namespace()) })
}

// namespaceHandler returns a handler that adds a stamp to new namespaces, and logs denials
// and stamps. An error of stamp is a denial.
func namespaceHandler(log *slog.Logger, stamp func(*namespaceRequest) (owner.Stamp, error)) http.Handler {
	return handler(log, func(body []byte) (any, error) {
		r, err := decodeReview[*namespaceRequest](body)
		if err != nil {
			return nil, err
		}
		stamped, err := stamp(r)
		r.record(log, stamped, err)
		resp := r.answer(stamped, err)
		resp.UID = r.UID
		return admissionv1.AdmissionReview{TypeMeta: reviewType, Response: resp}, nil
	})
}

// check returns an error for a request that the handler must not be registered for.
func (r *namespaceRequest) check() error {
	switch {
	case r.UID == "":
		return errors.New("the request has no uid")
	case r.Kind != namespaceKind || r.SubResource != "":
		return fmt.Errorf("the request is for %s: register only namespaces", describe(r.Kind, r.SubResource))
	case r.Operation != admissionv1.Create:
		return fmt.Errorf("the operation is %s: register only CREATE", quote(string(r.Operation)))
	case r.Object == nil:
		return errors.New("the request has no object")
	}
	return nil
}

func (r *namespaceRequest) namespace() owner.Namespace {
	return owner.Namespace{Annotations: r.Object.Metadata.Annotations, Labels: r.Object.Metadata.Labels}
}

// answer returns a denial, or a response that adds the stamp to the namespace.
func (r *namespaceRequest) answer(stamp owner.Stamp, denied error) *admissionv1.AdmissionResponse {
	if denied != nil {
		return forbidden(denied.Error())
	}
	resp := &admissionv1.AdmissionResponse{Allowed: true}
	if operations := r.operations(stamp); len(operations) > 0 {
		kind := admissionv1.PatchTypeJSONPatch
		resp.PatchType = &kind
		resp.Patch, _ = json.Marshal(operations) // encoding strings and maps cannot fail
	}
	return resp
}

// operations returns the operations that add the stamp.
func (r *namespaceRequest) operations(stamp owner.Stamp) (operations []mapOperation) {
	if stamp.Owner != "" {
		operations = append(operations, addPair("/metadata/annotations", r.Object.Metadata.Annotations, owner.Annotation, stamp.Owner))
	}
	if stamp.Tenancy != "" {
		operations = append(operations, addPair("/metadata/labels", r.Object.Metadata.Labels, owner.TenancyLabel, stamp.Tenancy))
	}
	return operations
}

// mapOperation is an operation of a JSON Patch (RFC 6902) that adds a pair to a map, or a map
// with one pair.
type mapOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// addPair returns the operation that adds a pair to the map at a path. If the map is missing,
// a path into it would not apply.
func addPair(path string, pairs map[string]string, key, value string) mapOperation {
	if pairs == nil {
		return mapOperation{"add", path, map[string]string{key: value}}
	}
	return mapOperation{"add", path + "/" + strings.ReplaceAll(key, "/", "~1"), value}
}

// record logs a denial or the stamp of a namespace.
func (r *namespaceRequest) record(log *slog.Logger, stamp owner.Stamp, denied error) {
	name := r.Object.Metadata.Name
	if name == "" {
		name = r.Object.Metadata.GenerateName + "*"
	}
	object := slog.String("object", "namespace/"+clip(name, maxQuoted))
	switch {
	case denied != nil:
		log.Warn("denied", object, slog.String("reason", clip(denied.Error(), maxLogged)))
	case stamp != (owner.Stamp{}):
		log.Info("stamped", object, slog.String("owner", clip(stamp.Owner, maxQuoted)), slog.String("tenancy", stamp.Tenancy))
	}
}
