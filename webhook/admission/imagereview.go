package admission

import (
	"iter"
	"log/slog"
	"net/http"
	"slices"

	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

var imageReviewType = metav1.TypeMeta{APIVersion: "imagepolicy.k8s.io/v1alpha1", Kind: "ImageReview"}

// exemptNamespaces are the namespaces whose images are always allowed, because denying their
// pods could lock the cluster out. The webhook configurations exclude the same namespaces.
// The plugin cannot exclude any.
var exemptNamespaces = []string{"kube-system", "kube-node-lease", "image-webhook"}

// imageReview contains the fields of an ImageReview that are checked. Its images may already
// be mirrored.
type imageReview struct {
	metav1.TypeMeta `json:",inline"`
	Spec            struct {
		Containers []struct {
			Image string `json:"image"`
		} `json:"containers"`
		Namespace string `json:"namespace"`
	} `json:"spec"`
}

// images yields the images of the review. It does not name their containers.
func (r *imageReview) images() iter.Seq[podimages.Image] {
	return func(yield func(podimages.Image) bool) {
		for _, c := range r.Spec.Containers {
			if !yield(podimages.Image{Reference: c.Image}) {
				return
			}
		}
	}
}

// imageAnswer is the ImageReview that the handler returns.
type imageAnswer struct {
	metav1.TypeMeta `json:",inline"`
	Status          imagepolicyv1alpha1.ImageReviewStatus `json:"status"`
}

// ImageReviews returns a handler that answers the ImageReviews of the API server's plugin
// ImagePolicyWebhook, and logs denials. A review has all images of a pod's containers and
// init containers, or of its ephemeral containers. It does not say which are new, so updates
// of existing pods are denied too. It does not contain the mode of the namespace.
func ImageReviews(log *slog.Logger, policy image.Policy) http.Handler {
	return handler(log, func(body []byte) (any, error) {
		var review imageReview
		if err := decode(body, &review, &review.TypeMeta, imageReviewType); err != nil {
			return nil, err
		}
		status := review.status(&policy)
		review.record(log, status)
		return imageAnswer{imageReviewType, status}, nil
	})
}

// status returns the answer: a denial if the policy disallows an image.
func (r *imageReview) status(policy *image.Policy) imagepolicyv1alpha1.ImageReviewStatus {
	found := &violations{mirrors: policy.Mirrors}
	if !slices.Contains(exemptNamespaces, r.Spec.Namespace) {
		found.find(policy, r.images())
	}
	if found.count == 0 {
		return imagepolicyv1alpha1.ImageReviewStatus{Allowed: true}
	}
	return imagepolicyv1alpha1.ImageReviewStatus{Reason: found.String()}
}

// record logs a denial. It cannot name the pod, because the review does not.
func (r *imageReview) record(log *slog.Logger, status imagepolicyv1alpha1.ImageReviewStatus) {
	if !status.Allowed {
		log.Warn("denied", slog.String("namespace", clip(r.Spec.Namespace, maxQuoted)),
			slog.String("object", "imagereview"), slog.String("reason", clip(status.Reason, maxLogged)))
	}
}
