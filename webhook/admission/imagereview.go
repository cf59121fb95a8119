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

// spared are the namespaces whose images are always allowed. The plugin asks
// about every namespace of the cluster and cannot be told to leave any out; to
// refuse the pods that the cluster or the webhook itself runs on could lock
// everybody out. These are the namespaces that the webhook configurations leave
// out. The plugin does not say what mode a namespace has.
var spared = []string{"kube-system", "kube-node-lease", "image-webhook"}

// imageReview is an ImageReview, reduced to what is judged. Its images have been
// mirrored before, as those of pods.
type imageReview struct {
	metav1.TypeMeta `json:",inline"`
	Spec            struct {
		Containers []struct {
			Image string `json:"image"`
		} `json:"containers"`
		Namespace string `json:"namespace"`
	} `json:"spec"`
}

// images yields the images of the review, which does not say who uses them.
func (r *imageReview) images() iter.Seq[podimages.Image] {
	return func(yield func(podimages.Image) bool) {
		for _, c := range r.Spec.Containers {
			if !yield(podimages.Image{Reference: c.Image}) {
				return
			}
		}
	}
}

// imageAnswer is the ImageReview that answers one.
type imageAnswer struct {
	metav1.TypeMeta `json:",inline"`
	Status          imagepolicyv1alpha1.ImageReviewStatus `json:"status"`
}

// ImageReviews answers the ImageReviews of the API server's plugin
// ImagePolicyWebhook, and logs those that refuse. They hold all images of a
// pod's containers and init containers, or of its ephemeral ones, and do not say
// which are new: so an update of a pod that is older than the rules is refused
// too.
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

// judge refuses images that the policy does not let run.
func (r *imageReview) judge(policy *image.Policy) imagepolicyv1alpha1.ImageReviewStatus {
	found := &faults{mirrors: policy.Mirrors}
	if !slices.Contains(spared, r.Spec.Namespace) {
		found.find(policy, r.images())
	}
	if found.count == 0 {
		return imagepolicyv1alpha1.ImageReviewStatus{Allowed: true}
	}
	return imagepolicyv1alpha1.ImageReviewStatus{Reason: found.String()}
}

// record logs what was refused. A review does not name the pod.
func (r *imageReview) record(log *slog.Logger, status imagepolicyv1alpha1.ImageReviewStatus) {
	if !status.Allowed {
		log.Warn("denied", slog.String("namespace", clip(r.Spec.Namespace, maxQuoted)),
			slog.String("object", "imagereview"), slog.String("reason", clip(status.Reason, maxLogged)))
	}
}
