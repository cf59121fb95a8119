package admission

import (
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Deny denies pods with images that the rules disallow. It never denies workloads: their
// users get a warning, and the pods are checked when they are created.
func Deny(rules *Rules, r *Request) Response {
	found := findViolations(&rules.Policy, r)
	switch {
	case found.disallowed.count() == 0:
		return Response{Allowed: true}
	case !r.isPod():
		return Response{Allowed: true, Warnings: found.warnings("; its pods will be denied"), Disallowed: found.disallowed}
	}
	return Response{Message: found.String(), Warnings: found.warnings(""), Disallowed: found.disallowed}
}

// Warn allows every object, with a warning for each image that the rules disallow.
func Warn(rules *Rules, r *Request) Response {
	found := findViolations(&rules.Policy, r)
	return Response{Allowed: true, Warnings: found.warnings(""), Disallowed: found.disallowed}
}

// findViolations returns the new images of a request that the policy disallows. Images of pods are
// checked as they are, those of workloads as they will be after mirroring.
func findViolations(policy *image.Policy, r *Request) violations {
	return find(violations{policy: policy, ofPod: r.isPod(), unmirrored: !r.isPod()}, r)
}

// findUnmirrored is findViolations for a request whose images will be mirrored, also those of pods.
func findUnmirrored(policy *image.Policy, r *Request) violations {
	return find(violations{policy: policy, ofPod: r.isPod(), unmirrored: true}, r)
}

// find adds the violations of the new images of a request.
func find(found violations, r *Request) violations {
	for img := range r.newImages().Each {
		if found.check(img); found.isComplete() {
			break
		}
	}
	return found
}

// maxCounted is the number of violations after which the search ends, so that the
// answer about a huge pod arrives before the timeout of the API server.
const maxCounted = 1000

// violations are the disallowed images of an object. denial.go describes them to users.
type violations struct {
	policy     *image.Policy
	ofPod      bool        // whether the images are those of a pod: they may be on a mirror
	unmirrored bool        // whether the images are mirrored later
	first      []violation // at most maxShown

	disallowed Disallowed
}

// violation is an image that must not run.
type violation struct {
	podimages.Image
	origins []string          // the references that are mirrored to it
	rules   []image.Violation // at least one
}

// Disallowed summarizes the disallowed images of an object.
type Disallowed struct {
	Images []string // the first images, as the user most likely wrote them; at most maxShown
	// Rules counts the images by the first rule that they break: at most maxCounted images
	// together.
	Rules [image.Rules]int
}

// count returns the number of images.
func (d *Disallowed) count() (n int) {
	for _, images := range d.Rules {
		n += images
	}
	return n
}

// check adds an image if the policy disallows it.
func (v *violations) check(img podimages.Image) {
	ref, err := image.Parse(img.Reference)
	if err != nil {
		v.add(violation{Image: img, rules: []image.Violation{{Rule: image.RuleReference, Reason: err.Error()}}}, ref)
		return
	}
	check := v.policy.Check
	if v.unmirrored {
		check = v.policy.CheckUnmirrored
	}
	if broken := check(ref); len(broken) > 0 {
		v.add(violation{Image: img, rules: broken}, ref)
	}
}

// add counts a violation, and keeps the first maxShown with their origins.
func (v *violations) add(found violation, ref image.Reference) {
	v.disallowed.Rules[found.rules[0].Rule]++
	if len(v.first) == maxShown {
		return
	}
	if v.ofPod && found.rules[0].Rule != image.RuleReference {
		found.origins = v.policy.Origins(ref)
	}
	v.first = append(v.first, found)
	v.disallowed.Images = append(v.disallowed.Images, found.likelyName())
}

// isComplete reports whether the search can end.
func (v *violations) isComplete() bool { return v.disallowed.count() >= maxCounted }
