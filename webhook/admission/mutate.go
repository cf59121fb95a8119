package admission

import (
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Changes are what is done to the images of pods. The zero value changes
// nothing.
type Changes struct {
	Mirrors    image.Mirrors // where the images of registries are sent
	AlwaysPull bool          // whether nodes ask for the image each time a container starts
}

// Mutate makes the changes to the new images of pods. Every change is noted in
// the audit log, under the path of what is changed. Objects that make pods are
// left as they are: whoever compares them with a file would find a difference
// that nobody can mend.
func Mutate(changes Changes) Verdict {
	return func(r *Request) *admissionv1.AdmissionResponse {
		resp := &admissionv1.AdmissionResponse{Allowed: true}
		if !r.isPod() {
			return resp
		}
		var p patch
		alwaysPull := changes.AlwaysPull && r.creates()
		for at := range r.newImages() {
			p.mirror(changes.Mirrors, at)
			if alwaysPull {
				p.alwaysPull(at)
			}
		}
		p.apply(resp)
		return resp
	}
}

// mirror sends an image to its mirror. Both references have at most the 1024
// bytes that can be read.
func (p *patch) mirror(mirrors image.Mirrors, at podimages.Image) {
	if to, ok := mirrors.Rewrite(at.Reference); ok {
		p.add(operation{"replace", at.Pointer(), to}, at.Key(), at.Reference+" -> "+to)
	}
}

// alwaysPull makes nodes ask for an image each time a container starts, as the
// plugin AlwaysPullImages of the API server does. Without an image there may
// be nothing that a pull policy could stand in.
func (p *patch) alwaysPull(at podimages.Image) {
	if at.Reference == "" || at.PullPolicy == podimages.PullAlways {
		return
	}
	const always = string(podimages.PullAlways)
	note := clip(string(at.PullPolicy), maxQuoted) + " -> " + always
	p.add(operation{"add", at.PullPolicyPointer(), always}, at.PullPolicyKey(), strings.TrimPrefix(note, " "))
}
