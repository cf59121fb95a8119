package admission

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
)

// modeLabel is the label of a namespace that says how its pods are judged. Its
// values choose, by the selectors of the webhook configurations, which path is
// asked: none for off, Warn for warn, and Deny for deny, without the label and
// for every other value. So no namespace is ever looked up.
const modeLabel = "image-webhook.dev/mode"

var modes = []string{"deny", "warn", "off"}

// UnknownMode is asked about namespaces with a mode that is none, and about
// their pods. It lets them pass, with a warning that the namespace is treated
// as deny: Deny is asked as well.
func UnknownMode(r *Request) *admissionv1.AdmissionResponse {
	resp := &admissionv1.AdmissionResponse{Allowed: true}
	if r.Kind != namespaceKind {
		resp.Warnings = []string{fmt.Sprintf("namespace %s is treated as deny: its label %s is none of deny, warn, off", quote(r.Namespace), modeLabel)}
		return resp
	}
	if mode, labelled := r.Object.Label(modeLabel); labelled && !slices.Contains(modes, mode) {
		resp.Warnings = []string{fmt.Sprintf("namespace %s is treated as deny: set its label %s to deny, warn or off instead of %s", quote(r.Namespace), modeLabel, quote(mode))}
	}
	return resp
}
