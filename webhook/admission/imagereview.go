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

// exemptNamespaces are the namespaces whose images are always allowed. The plugin sends
// reviews for every namespace and cannot exclude any; to refuse pods that the cluster or the
// webhook itself needs could lock the cluster out. The webhook configurations exclude the
// same namespaces. The plugin does not send the mode of a namespace.
var exemptNamespaces = []string{"kube-system", "kube-node-lease", "image-webhook"}

// imageReview is an ImageReview, reduced to the fields that are judged. Its images have been
// mirrored before, like those of pods.
type imageReview struct {
	metav1.TypeMeta `json:",inline"`
	Spec            struct {
		Containers []struct {
			Image string `json:"image"`
		} `json:"containers"`
		Namespace string `json:"namespace"`
	} `json:"spec"`
}

// images yields the images of the review, which does not name the containers.
func (r *imageReview) images() iter.Seq[podimages.Image] {
	return func(yield func(podimages.Image) bool) {
		for _, c := range r.Spec.Containers {
			if !yield(podimages.Image{Reference: c.Image}) {
				return
			}
		}
	}
}

// imageAnswer is the ImageReview of the answer.
type imageAnswer struct {
	metav1.TypeMeta `json:",inline"`
	Status          imagepolicyv1alpha1.ImageReviewStatus `json:"status"`
}

// ImageReviews answers the ImageReviews of the API server's plugin ImagePolicyWebhook, and
// logs denials. A review has all images of a pod's containers and init containers, or of its
// ephemeral containers, and does not say which are new: an update of a pod that is older
// than the rules is refused too.
func ImageReviews(log *slog.Logger, policy image.Policy) http.Handler {
	return handler(log, func(body []byte) (any, error) {
		var review imageReview
		if err := decode(body, &review, &review.TypeMeta, imageReviewType); err != nil {
			return nil, err
		}
		status := review.judge(&policy)
		review.record(log, status)
		return imageAnswer{imageReviewType, status}, nil
	})
}

// judge refuses images that the policy disallows.
func (r *imageReview) judge(policy *image.Policy) imagepolicyv1alpha1.ImageReviewStatus {
	found := &violations{mirrors: policy.Mirrors}
	if !slices.Contains(exemptNamespaces, r.Spec.Namespace) {
		found.find(policy, r.images())
	}
	if found.count == 0 {
		return imagepolicyv1alpha1.ImageReviewStatus{Allowed: true}
	}
	return imagepolicyv1alpha1.ImageReviewStatus{Reason: found.String()}
}

// record logs denials. A review does not name the pod.
func (r *imageReview) record(log *slog.Logger, status imagepolicyv1alpha1.ImageReviewStatus) {
	if !status.Allowed {
		log.Warn("denied", slog.String("namespace", clip(r.Spec.Namespace, maxQuoted)),
			slog.String("object", "imagereview"), slog.String("reason", clip(status.Reason, maxLogged)))
	}
}
