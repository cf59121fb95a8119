package admission

import (
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
)

// Deny refuses pods with images that the policy disallows. Workloads that create pods are
// never refused: their users get a warning, and their pods are judged when they are
// created.
func Deny(policy image.Policy) Verdict {
	return func(r *Request) *admissionv1.AdmissionResponse {
		found := judge(&policy, r)
		switch {
		case found.count == 0:
			return &admissionv1.AdmissionResponse{Allowed: true}
		case !r.isPod():
			return &admissionv1.AdmissionResponse{Allowed: true, Warnings: found.warnings("; its pods will be denied")}
		}
		return forbidden(found)
	}
}

// Warn allows every object, with a warning for each image that Deny would refuse.
func Warn(policy image.Policy) Verdict {
	return func(r *Request) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Warnings: judge(&policy, r).warnings("")}
	}
}

// judge finds the new images of a request that the policy disallows. Only the images of
// pods have been mirrored before.
func judge(policy *image.Policy, r *Request) *violations {
	found := &violations{}
	if r.isPod() {
		found.mirrors = policy.Mirrors
	}
	found.find(policy, r.newImages())
	return found
}

// forbidden returns the response that denies a request.
func forbidden(found *violations) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Warnings: found.warnings(""),
		Result: &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    http.StatusForbidden,
			Reason:  metav1.StatusReasonForbidden,
			Message: found.String(),
		},
	}
}
