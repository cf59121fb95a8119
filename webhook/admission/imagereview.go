package admission

import (
	"log/slog"
	"slices"
	"strconv"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

var imageReviewType = reviewType{"imagepolicy.k8s.io/v1alpha1", "ImageReview"}

// exemptNamespaces are the namespaces whose images are always allowed, because denying their
// pods could lock the cluster out. The webhook configurations exclude the same namespaces.
// The plugin cannot exclude any.
var exemptNamespaces = []string{"kube-system", "kube-node-lease", "image-webhook"}

// probeNamespace and probeImage are those of the pods with which certgen tries the webhook. The reference is
// invalid, so no node could run it.
const (
	probeNamespace = "image-webhook-probe"
	probeImage     = "image-webhook.dev/Probe"
)

// imageReview contains the fields of an ImageReview that are checked. Its images may already
// be mirrored.
type imageReview struct {
	namespace  string
	references []string
}

func (r *imageReview) decode(d *jsonfields.Decoder, key string) error {
	if key != "spec" {
		return d.Skip()
	}
	return d.Object(func(key string) error {
		switch key {
		case "containers":
			return decodeReferences(d, &r.references)
		case "namespace":
			return d.Text(&r.namespace)
		}
		return d.Skip()
	})
}

// decodeReferences reads the images of a list of containers.
func decodeReferences(d *jsonfields.Decoder, references *[]string) error {
	return jsonfields.List(d, references, func(reference *string) error {
		return d.Member("image", func() error { return d.Text(reference) })
	})
}

// imageStatus is the answer to an ImageReview.
type imageStatus struct {
	allowed bool
	reason  string // of a denial

	disallowed Disallowed
}

// append appends the ImageReview with the status.
func (s imageStatus) append(b []byte) []byte {
	b = append(b, `{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","status":{"allowed":`...)
	b = strconv.AppendBool(b, s.allowed)
	if s.reason != "" {
		b = appendString(append(b, `,"reason":`...), s.reason)
	}
	return append(b, "}}\n"...)
}

// imageReviews returns the function that answers the ImageReviews of the API server's plugin
// ImagePolicyWebhook, and logs denials. A review has all images of a pod's containers and
// init containers, or of its ephemeral containers. It does not say which are new, so updates
// of existing pods are denied too. It does not contain the mode of the namespace.
func imageReviews(rules Source) answerFunc {
	return func(report *reporter, x *exchange) error {
		var review imageReview
		if err := x.decode(imageReviewType, review.decode); err != nil {
			return err
		}
		status := review.status(&rules().Policy)
		if !status.allowed {
			x.summary = Summary{Outcome: Denied, Disallowed: status.disallowed}
			report.imageReview(&review, status)
		}
		x.answer = status.append(x.answer)
		return nil
	}
}

// status returns the answer: a denial if the policy disallows an image.
func (r *imageReview) status(policy *image.Policy) imageStatus {
	if slices.Contains(exemptNamespaces, r.namespace) || r.isProbe() {
		return imageStatus{allowed: true}
	}
	found := violations{policy: policy, ofPod: true}
	for i := 0; i < len(r.references) && !found.isComplete(); i++ {
		found.check(podimages.Image{Reference: r.references[i]}) // does not name its container
	}
	if found.disallowed.count() == 0 {
		return imageStatus{allowed: true}
	}
	return imageStatus{reason: found.String(), disallowed: found.disallowed}
}

// isProbe reports whether certgen created the pod. The API server asks the plugin first, so its denial would hide
// the verdict of the webhook, without which certgen does not set the failurePolicy Fail.
func (r *imageReview) isProbe() bool {
	return r.namespace == probeNamespace && slices.Equal(r.references, []string{probeImage})
}

// imageReview logs a denial. It names neither the pod nor the user, because the review does not.
func (r *reporter) imageReview(review *imageReview, status imageStatus) {
	r.write(slog.LevelWarn, "denied", slog.String("namespace", clip(review.namespace, maxQuoted)),
		slog.String("object", "imagereview"), imageList(status.disallowed), reason(status.reason))
}
