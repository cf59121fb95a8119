package admission

import (
	"encoding/json"

	admissionv1 "k8s.io/api/admission/v1"
)

// operation is one of a JSON Patch (RFC 6902). A patch that does not apply
// would fail the request whatever the failure policy says. So replace is used
// only where the request has a value, and add only for a member of an object
// that the request has: it replaces a member that is there, null too.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// patch is the changes to an object, and what the audit log is told of them.
// The zero value changes nothing.
type patch struct {
	operations []operation
	notes      map[string]string
}

func (p *patch) add(op operation, key, note string) {
	if p.notes == nil {
		p.notes = map[string]string{}
	}
	p.operations = append(p.operations, op)
	p.notes[key] = note
}

// apply puts the patch into the response. A response without a patch must not
// have a patch type either.
func (p *patch) apply(resp *admissionv1.AdmissionResponse) {
	if len(p.operations) == 0 {
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	resp.PatchType = &kind
	resp.Patch, _ = json.Marshal(p.operations) // strings always encode
	resp.AuditAnnotations = p.notes
}
