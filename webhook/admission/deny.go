package admission

import (
	"fmt"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// latestWarning is shown by kubectl above the denial.
const latestWarning = "use `latest` tag is not allowed"

// Deny refuses pods with images that are not fixed: without a tag, with the
// tag latest, or with a reference that no runtime can read. Images pinned by
// a digest always pass. The message names every such image of the pod.
func Deny(r *Request) *admissionv1.AdmissionResponse {
	var faults faults
	var warnings []string
	for at := range r.Object.Images() {
		ref, err := image.Parse(at.Reference)
		switch {
		case err != nil:
			faults.add(func() string { return invalidFault(at, err) })
		case ref.Latest():
			faults.add(func() string { return latestFault(at, ref) })
			warnings = []string{latestWarning}
		}
	}
	if faults.count == 0 {
		return &admissionv1.AdmissionResponse{Allowed: true}
	}
	return forbidden(faults.String(), warnings)
}

// maxFaults is how many faults a message spells out: a pod can have a million
// containers, and a person reads the first few.
const maxFaults = 10

// faults are the images that a pod is denied for.
type faults struct {
	texts []string
	count int
}

func (f *faults) add(describe func() string) {
	if f.count < maxFaults {
		f.texts = append(f.texts, describe())
	}
	f.count++
}

func (f *faults) String() string {
	message := strings.Join(f.texts, "; ")
	if more := f.count - len(f.texts); more > 0 {
		message += fmt.Sprintf("; and %d more", more)
	}
	return message
}

// forbidden is the response that denies.
func forbidden(message string, warnings []string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Warnings: warnings,
		Result: &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    http.StatusForbidden,
			Reason:  metav1.StatusReasonForbidden,
			Message: message,
		},
	}
}

// invalidFault describes an image that cannot be read.
func invalidFault(at podimages.Image, err error) string {
	return fmt.Sprintf("%s, which cannot be read (%s): write it as [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST",
		usage(at), clip(err.Error(), maxQuoted))
}

// latestFault describes an image that can change under its name.
func latestFault(at podimages.Image, ref image.Reference) string {
	why := `whose tag "latest" can change under you`
	if ref.Tag == "" {
		why = `which has no tag and so means "latest", a tag that can change under you`
	}
	name := clip(strings.TrimSuffix(at.Reference, ref.Suffix()), maxQuoted)
	return fmt.Sprintf("%s, %s: name a fixed tag such as %s:1.2.3 or pin a digest (%s@sha256:...)",
		usage(at), why, name, name)
}

// usage says who uses which image.
func usage(at podimages.Image) string {
	return fmt.Sprintf("container %s (%s) uses image %s", quote(at.Container), at.Field(), quote(at.Reference))
}
