package admissioncost

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// checkSameResult returns an error unless the baseline keeps the images of the pod, and all other
// arms that mutate rewrite them in the same way.
func (c *cluster) checkSameResult(ctx context.Context, arms []*arm) error {
	images := map[string]string{}
	for _, a := range arms {
		answer, err := c.create(ctx, a)
		if err != nil {
			return fmt.Errorf("create a pod in the arm %q: %w", a.name, err)
		}
		var pod corev1.Pod
		if err := runtime.DecodeInto(scheme.Codecs.UniversalDecoder(), answer, &pod); err != nil {
			return err
		}
		for _, container := range pod.Spec.Containers {
			images[a.name] += container.Image + " "
		}
	}
	if images[none] == images[webhook] {
		return fmt.Errorf("compare the arms: the webhook does not rewrite the images %q: wait until it serves, or install it with the mirrors of deploy/04-webhook.yaml", images[none])
	}
	for _, other := range []string{hybrid, policiesOnly} {
		if images[other] != images[webhook] {
			return fmt.Errorf("compare the arms: the webhook stores the images %q, but the arm %q stores %q: install the webhook with the mirrors of deploy/04-webhook.yaml", images[webhook], other, images[other])
		}
	}
	return nil
}
