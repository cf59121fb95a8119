package admission

import (
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Deny denies pods with images that the policy disallows. It never denies workloads: their
// users get a warning, and the pods are checked when they are created.
func Deny(policy image.Policy) Verdict {
	return func(r *Request) Response {
		found := findViolations(&policy, r)
		switch {
		case found.disallowed.count() == 0:
			return Response{Allowed: true}
		case !r.isPod():
			return Response{Allowed: true, Warnings: found.warnings("; its pods will be denied"), Disallowed: found.disallowed}
		}
		return Response{Message: found.String(), Warnings: found.warnings(""), Disallowed: found.disallowed}
	}
}

// Warn allows every object, with a warning for each image that the policy disallows.
func Warn(policy image.Policy) Verdict {
	return func(r *Request) Response {
		found := findViolations(&policy, r)
		return Response{Allowed: true, Warnings: found.warnings(""), Disallowed: found.disallowed}
	}
}

// findViolations returns the new images of a request that the policy disallows. Only images
// of pods may already be mirrored.
func findViolations(policy *image.Policy, r *Request) (found violations) {
	if r.isPod() {
		found.mirrors = policy.Mirrors
	}
	for img := range r.newImages().Each {
		if found.check(policy, img); found.isComplete() {
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
	mirrors image.Mirrors
	first   []violation // at most maxShown

	disallowed Disallowed
}

// violation is an image that must not run.
type violation struct {
	podimages.Image
	origins []string        // the references that are mirrored to it
	tag     *image.TagError // nil for an invalid reference
	invalid error           // from image.Parse
}

// Disallowed summarizes the disallowed images of an object.
type Disallowed struct {
	Images []string // the first images, as the user most likely wrote them; at most maxShown
	// Tag, NoTag and Invalid count the images by reason: a disallowed tag, no tag, which means a
	// disallowed tag, and an invalid reference. They count at most maxCounted images together.
	Tag, NoTag, Invalid int
}

// count returns the number of images.
func (d *Disallowed) count() int { return d.Tag + d.NoTag + d.Invalid }

// add counts an image.
func (d *Disallowed) add(found *violation) {
	switch {
	case found.tag == nil:
		d.Invalid++
	case found.tag.Implied:
		d.NoTag++
	default:
		d.Tag++
	}
}

// check adds an image if the policy disallows it.
func (v *violations) check(policy *image.Policy, img podimages.Image) {
	ref, err := image.Parse(img.Reference)
	if err != nil {
		v.add(violation{Image: img, invalid: err}, ref)
	} else if tag := policy.Check(ref); tag != nil {
		v.add(violation{Image: img, tag: tag}, ref)
	}
}

// add counts a violation, and keeps the first maxShown with their origins.
func (v *violations) add(found violation, ref image.Reference) {
	v.disallowed.add(&found)
	if len(v.first) == maxShown {
		return
	}
	if found.invalid == nil {
		found.origins = v.mirrors.Origins(ref)
	}
	v.first = append(v.first, found)
	v.disallowed.Images = append(v.disallowed.Images, found.likelyName())
}

// isComplete reports whether the search can end.
func (v *violations) isComplete() bool { return v.disallowed.count() >= maxCounted }
