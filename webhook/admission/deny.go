package admission

import (
	"iter"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Deny denies pods with images that the policy disallows. It never denies workloads: their
// users get a warning, and the pods are checked when they are created.
func Deny(policy image.Policy) Verdict {
	return func(r *Request) *admissionv1.AdmissionResponse {
		found := findViolations(&policy, r)
		switch {
		case found.count == 0:
			return &admissionv1.AdmissionResponse{Allowed: true}
		case !r.isPod():
			return &admissionv1.AdmissionResponse{Allowed: true, Warnings: found.warnings("; its pods will be denied")}
		}
		resp := forbidden(found.String())
		resp.Warnings = found.warnings("")
		return resp
	}
}

// Warn allows every object, with a warning for each image that the policy disallows.
func Warn(policy image.Policy) Verdict {
	return func(r *Request) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Warnings: findViolations(&policy, r).warnings("")}
	}
}

// findViolations returns the new images of a request that the policy disallows. Only images
// of pods may already be mirrored.
func findViolations(policy *image.Policy, r *Request) *violations {
	found := &violations{}
	if r.isPod() {
		found.mirrors = policy.Mirrors
	}
	found.find(policy, r.newImages())
	return found
}

// maxCounted is the number of violations after which the search ends, so that the
// answer about a huge pod arrives before the timeout of the API server.
const maxCounted = 1000

// violations are the disallowed images of an object. denial.go describes them to users.
type violations struct {
	mirrors image.Mirrors
	first   []violation // at most maxShown
	count   int
}

// violation is an image that must not run.
type violation struct {
	podimages.Image
	origins []string        // the references that are mirrored to it
	tag     *image.TagError // nil for an invalid reference
	invalid error           // from image.Parse
}

// find adds the images that the policy disallows.
func (v *violations) find(policy *image.Policy, images iter.Seq[podimages.Image]) {
	for img := range images {
		ref, err := image.Parse(img.Reference)
		found := violation{Image: img, invalid: err}
		if err == nil {
			found.tag = policy.Check(ref)
		}
		if found.invalid != nil || found.tag != nil {
			v.add(found, ref)
		}
		if v.isComplete() {
			return
		}
	}
}

// add counts a violation, and keeps the first maxShown with their origins.
func (v *violations) add(found violation, ref image.Reference) {
	v.count++
	if v.count > maxShown {
		return
	}
	if found.invalid == nil {
		found.origins = v.mirrors.Origins(ref)
	}
	v.first = append(v.first, found)
}

// isComplete reports whether the search can end.
func (v *violations) isComplete() bool { return v.count >= maxCounted }

// forbidden returns the response that denies a request with a message.
func forbidden(message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Result: &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    http.StatusForbidden,
			Reason:  metav1.StatusReasonForbidden,
			Message: message,
		},
	}
}
