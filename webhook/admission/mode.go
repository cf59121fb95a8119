package admission

import (
	"fmt"
	"slices"
)

// modeLabel is the label of a namespace that sets the mode of its pods. The selectors of the
// webhook configurations choose the verdict by its value: none for off, Warn for warn, and
// Deny for deny, other values and a missing label. So the server needs no access to
// namespaces.
const modeLabel = "image-webhook.dev/mode"

var modes = []string{"deny", "warn", "off"}

// UnknownMode allows namespaces with an unknown mode, and their pods, with a warning that the
// namespace is treated as deny. The API server calls Deny for these pods too.
func UnknownMode(_ *Rules, r *Request) Response {
	resp := Response{Allowed: true}
	if r.Kind != namespaceKind {
		resp.Warnings = []string{fmt.Sprintf("namespace %s is treated as deny: its label %s is not deny, warn or off", quote(r.Namespace), modeLabel)}
		return resp
	}
	if mode, labeled := r.Object.Label(modeLabel); labeled && !slices.Contains(modes, mode) {
		resp.Warnings = []string{fmt.Sprintf("namespace %s is treated as deny: set its label %s to deny, warn or off instead of %s", quote(r.Namespace), modeLabel, quote(mode))}
	}
	return resp
}
