package admission

import (
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
	return func(r *Request) Response {
		if !r.isPod() {
			return Response{Allowed: true}
		}
		var p patch
		alwaysPull := changes.AlwaysPull && r.creates()
		for img := range r.newImages().Each {
			p.mirror(changes.Mirrors, img)
			if alwaysPull {
				p.alwaysPull(img)
			}
		}
		return Response{Allowed: true, Patch: p.end(), Changes: p.changes}
	}
}

// mirror replaces an image by its mirrored reference. An invalid reference stays unchanged,
// because Deny denies it.
func (p *patch) mirror(mirrors image.Mirrors, img podimages.Image) {
	ref, err := image.Parse(img.Reference)
	if err != nil {
		return
	}
	if mirrored, rule := mirrors.Rewrite(ref); rule != "" {
		p.begin("replace")
		p.operations = img.AppendPointer(p.operations)
		p.value(mirrored.Written)
		p.changes = append(p.changes, Change{img.Key(), ref.Written, mirrored.Written, rule})
	}
}

// alwaysPull sets the pull policy Always, like the admission plugin AlwaysPullImages. It
// skips entries without an image, because the parent object of their policy may be missing.
func (p *patch) alwaysPull(img podimages.Image) {
	if img.Reference == "" || img.PullPolicy == podimages.PullAlways {
		return
	}
	p.begin("add")
	p.operations = img.AppendPullPolicyPointer(p.operations)
	p.value(podimages.PullAlways)
	p.changes = append(p.changes, Change{Field: img.PullPolicyKey(), From: clip(img.PullPolicy, maxQuoted), To: podimages.PullAlways})
}

// patch contains the changes of fields: a JSON Patch (RFC 6902) and a description of each
// operation. The zero value changes nothing.
//
// A patch that does not apply fails the request regardless of the failure policy. So replace
// is used only for an existing value, and add only for a member of an existing object. add
// also replaces a member, even null.
type patch struct {
	operations []byte // a list in JSON, without its closing bracket
	changes    []Change
}

// begin begins an operation. The caller appends the path, which needs no escapes, and calls
// value.
func (p *patch) begin(op string) {
	separator := byte(',')
	if p.operations == nil {
		p.operations, separator = make([]byte, 0, 512), '[' // enough for a pod with few containers
		p.changes = make([]Change, 0, 4)
	}
	p.operations = append(append(append(p.operations, separator), `{"op":"`...), op...)
	p.operations = append(p.operations, `","path":"`...)
}

// value ends an operation with its value.
func (p *patch) value(value string) {
	p.operations = append(p.operations, `","value":`...)
	p.operations = append(appendString(p.operations, value), '}')
}

// end returns the complete patch, or nil if it has no operations.
func (p *patch) end() []byte {
	if p.operations == nil {
		return nil
	}
	return append(p.operations, ']')
}
