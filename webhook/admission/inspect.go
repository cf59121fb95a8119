package admission

import (
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Inspection is what the rules say about an image of a pod that a user creates, or of a template of
// such pods. Mutate and Deny decide the same about the pod.
type Inspection struct {
	Mirrored   string   // what is stored in the pod instead; empty: the image is not mirrored
	MirrorRule string   // that applies; empty: none
	Origins    []string // the images that are mirrored to the written one: it is already a mirror's
	Exemption  string   // the pattern that exempts the image from rules about tags and digests; empty: none
	Violations []Reason // empty: the image is allowed
}

// Reason is why a rule does not allow an image.
type Reason struct {
	Rule    image.Rule
	Pattern string // the item of the rule that matches; empty: the rule has no patterns
	Reason  string // such as "a digest is required"
	Remedy  string // such as "use nginx@sha256:..."
}

// String returns the reason in the form of a denial.
func (r Reason) String() string { return r.Reason + ": " + r.Remedy }

// Inspect applies the rules to an image as a user writes it. Unlike a verdict it has no limit for the
// number of violations: it is for programs on the user's machine.
func (r *Rules) Inspect(reference string) (i Inspection) {
	written := violation{Image: podimages.Image{Reference: reference}}
	ref, err := image.Parse(reference)
	if err != nil {
		written.rules = []image.Violation{{Rule: image.RuleReference, Reason: err.Error()}}
	} else {
		var mirrored image.Reference
		if mirrored, i.MirrorRule = r.Changes.Mirrors.Rewrite(ref); i.MirrorRule != "" {
			i.Mirrored = mirrored.Written
		}
		i.Exemption = r.Policy.Exemption(ref)
		written.origins = r.Policy.Origins(ref)
		written.rules = r.Policy.CheckUnmirrored(ref)
	}
	i.Origins = written.origins
	for _, broken := range written.rules {
		i.Violations = append(i.Violations, Reason{broken.Rule, broken.Pattern, reasonOf(broken), written.remedy(broken, &r.Policy)})
	}
	return i
}
