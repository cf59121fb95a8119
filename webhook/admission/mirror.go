package admission

import (
	"encoding/json"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
)

// replacement is an operation of a JSON Patch (RFC 6902). Only replace is
// used, and only where the request has an image: a patch that does not apply
// would fail the request whatever the failure policy says.
type replacement struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// Mirror sends the new images of pods to the mirrors of their registries.
// Every rewrite is noted in the audit log, under the path of the image. Objects
// that make pods are left as they are: whoever compares them with a file would
// find a difference that nobody can mend.
func Mirror(mirrors image.Mirrors) Verdict {
	return func(r *Request) *admissionv1.AdmissionResponse {
		resp := &admissionv1.AdmissionResponse{Allowed: true}
		if !r.isPod() {
			return resp
		}
		var patch []replacement
		for at := range r.newImages() {
			to, ok := mirrors.Rewrite(at.Reference)
			if !ok {
				continue
			}
			patch = append(patch, replacement{"replace", at.Pointer(), to})
			note(resp, at.Key(), at.Reference+" -> "+to)
		}
		apply(resp, patch)
		return resp
	}
}

// note notes a rewrite for the audit log. Both references have at most the
// 1024 bytes that can be read.
func note(resp *admissionv1.AdmissionResponse, key, value string) {
	if resp.AuditAnnotations == nil {
		resp.AuditAnnotations = map[string]string{}
	}
	resp.AuditAnnotations[key] = value
}

// apply puts the patch into the response. A response without a patch must not
// have a patch type either.
func apply(resp *admissionv1.AdmissionResponse, patch []replacement) {
	if len(patch) == 0 {
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	resp.PatchType = &kind
	resp.Patch, _ = json.Marshal(patch) // strings always encode
}
