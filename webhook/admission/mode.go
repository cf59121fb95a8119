package admission

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
)

// modeLabel is the label of a namespace that sets the mode of its pods. The selectors of
// the webhook configurations choose the path by its value: no path for off, Warn for warn,
// and Deny for deny, for every other value and without the label. So the server never looks
// up a namespace.
const modeLabel = "image-webhook.dev/mode"

var modes = []string{"deny", "warn", "off"}

// UnknownMode is called for namespaces with an unknown mode, and for their pods. It allows
// them, with a warning that the namespace is treated as deny; Deny is called as well.
func UnknownMode(r *Request) *admissionv1.AdmissionResponse {
	resp := &admissionv1.AdmissionResponse{Allowed: true}
	if r.Kind != namespaceKind {
		resp.Warnings = []string{fmt.Sprintf("namespace %s is treated as deny: its label %s is not deny, warn or off", quote(r.Namespace), modeLabel)}
		return resp
	}
	if mode, labelled := r.Object.Label(modeLabel); labelled && !slices.Contains(modes, mode) {
		resp.Warnings = []string{fmt.Sprintf("namespace %s is treated as deny: set its label %s to deny, warn or off instead of %s", quote(r.Namespace), modeLabel, quote(mode))}
	}
	return resp
}
