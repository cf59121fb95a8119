package admission

import (
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Changes configures how Mutate changes pods. The zero value changes nothing.
type Changes struct {
	Mirrors    image.Mirrors // where images are sent
	AlwaysPull bool          // whether new pods get the pull policy Always
	// PullSecrets are names of Secrets that new pods with a mirrored image get.
	PullSecrets []string
}

// Mutate applies the changes to the new images of pods. It adds an audit annotation for each
// change, under the path of the field. Workloads stay unchanged: GitOps tools would report a
// difference between the cluster and the manifest.
func Mutate(rules *Rules, r *Request) Response {
	if !r.isPod() {
		return Response{Allowed: true}
	}
	changes := &rules.Changes
	var p patch
	alwaysPull := changes.AlwaysPull && r.creates()
	mirrored := false
	for img := range r.newImages().Each {
		mirrored = p.mirror(&changes.Mirrors, img) || mirrored
		if alwaysPull {
			p.alwaysPull(img)
		}
	}
	if mirrored && len(changes.PullSecrets) > 0 && r.creates() {
		p.pullSecrets(r.Object, changes.PullSecrets)
	}
	return Response{Allowed: true, Patch: p.end(), Changes: p.changes}
}

// MutateAndWarn is Mutate, with a warning for each new image that the rules disallow, as the user wrote
// it. It never denies: in the hybrid form, a ValidatingAdmissionPolicy does.
func MutateAndWarn(rules *Rules, r *Request) Response {
	resp := Mutate(rules, r)
	found := findUnmirrored(&rules.Policy, r)
	resp.Warnings, resp.Disallowed = found.warnings(""), found.disallowed
	return resp
}

// mirror replaces an image by its mirrored reference, and reports whether there is one. An invalid
// reference stays unchanged, because Deny denies it.
func (p *patch) mirror(mirrors *image.Mirrors, img podimages.Image) bool {
	ref, err := image.Parse(img.Reference)
	if err != nil {
		return false
	}
	mirrored, rule := mirrors.Rewrite(ref)
	if rule == "" {
		return false
	}
	p.begin("replace")
	p.operations = img.AppendPointer(p.operations)
	p.value(mirrored.Written)
	p.changes = append(p.changes, Change{img.Key(), ref.Written, mirrored.Written, rule})
	return true
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

// pullSecrets adds the names of Secrets that the pod does not have yet. The API server has already
// added those of the service account.
func (p *patch) pullSecrets(pod *podimages.Object, names []string) {
	added, empty := pod.MissingPullSecrets(names)
	if len(added) == 0 {
		return
	}
	for i, name := range added {
		p.begin("add")
		p.operations = append(p.operations, podimages.PullSecretsPointer...)
		if empty && i == 0 { // the list can be missing or null
			p.operations = appendString(append(p.operations, `","value":[{"name":`...), name)
			p.operations = append(p.operations, "}]}"...)
			continue
		}
		p.operations = appendString(append(p.operations, `/-","value":{"name":`...), name)
		p.operations = append(p.operations, "}}"...)
	}
	p.changes = append(p.changes, Change{Field: podimages.PullSecretsKey, To: strings.Join(added, ",")})
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
