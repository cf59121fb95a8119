package admission

import (
	"encoding/json"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Changes configures how Mutate changes pods. The zero value changes nothing.
type Changes struct {
	Mirrors    image.Mirrors // where images are sent
	AlwaysPull bool          // whether new pods get the pull policy Always
}

// Mutate applies the changes to the new images of pods. It adds an audit annotation for each
// change, under the path of the field. Workloads stay unchanged: GitOps tools would report a
// difference between the cluster and the manifest.
func Mutate(changes Changes) Verdict {
	return func(r *Request) *admissionv1.AdmissionResponse {
		resp := &admissionv1.AdmissionResponse{Allowed: true}
		if !r.isPod() {
			return resp
		}
		var p patch
		alwaysPull := changes.AlwaysPull && r.creates()
		for img := range r.newImages() {
			p.mirror(changes.Mirrors, img)
			if alwaysPull {
				p.alwaysPull(img)
			}
		}
		p.apply(resp)
		return resp
	}
}

// mirror replaces an image by its mirrored reference. An invalid reference stays unchanged,
// because Deny denies it.
func (p *patch) mirror(mirrors image.Mirrors, img podimages.Image) {
	ref, err := image.Parse(img.Reference)
	if err != nil {
		return
	}
	if mirrored, ok := mirrors.Rewrite(ref); ok {
		p.add(operation{"replace", img.Pointer(), mirrored.Written}, img.Key(), ref.Written+" -> "+mirrored.Written)
	}
}

// alwaysPull sets the pull policy Always, like the admission plugin AlwaysPullImages. It
// skips entries without an image, because the parent object of their policy may be missing.
func (p *patch) alwaysPull(img podimages.Image) {
	if img.Reference == "" || img.PullPolicy == podimages.PullAlways {
		return
	}
	const always = string(podimages.PullAlways)
	note := clip(string(img.PullPolicy), maxQuoted) + " -> " + always
	p.add(operation{"add", img.PullPolicyPointer(), always}, img.PullPolicyKey(), strings.TrimPrefix(note, " "))
}

// operation is an operation of a JSON Patch (RFC 6902). A patch that does not apply fails
// the request regardless of the failure policy. So replace is used only for an existing
// value, and add only for a member of an existing object. add also replaces a member, even
// null.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// patch contains changes to an object and their audit annotations. The zero value changes
// nothing.
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

// apply adds the patch to the response. If the patch is empty, it adds no patch type either,
// because the API server rejects that.
func (p *patch) apply(resp *admissionv1.AdmissionResponse) {
	if len(p.operations) == 0 {
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	resp.PatchType = &kind
	resp.Patch, _ = json.Marshal(p.operations) // encoding strings cannot fail
	resp.AuditAnnotations = p.notes
}
