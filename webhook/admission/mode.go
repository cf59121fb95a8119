package admission

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// ModeLabel is the label of a namespace that says how its pods are judged. Its
// values choose, by the selectors of the webhook configurations, which path is
// asked: none for off, Warn for warn, and Deny for deny, without the label and
// for every other value. So no namespace is ever looked up.
const ModeLabel = "image-webhook.dev/mode"

var modes = []string{"deny", "warn", "off"}

// UnknownMode is asked about namespaces with a mode that is none, and about
// their pods. It lets them pass, with a warning that the namespace is treated
// as deny: Deny is asked as well.
func UnknownMode(r *Request) *admissionv1.AdmissionResponse {
	resp := &admissionv1.AdmissionResponse{Allowed: true}
	is := "is none of "
	if r.Kind == namespaceKind {
		mode, labelled := r.Object.Metadata.Labels[ModeLabel]
		if !labelled || slices.Contains(modes, mode) {
			return resp
		}
		is = fmt.Sprintf("is %s, none of ", quote(mode))
	}
	resp.Warnings = []string{fmt.Sprintf("namespace %s: the label %s %s%s: treated as deny",
		quote(r.Namespace), ModeLabel, is, strings.Join(modes, ", "))}
	return resp
}
