package admissioncost

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// checkSameResult creates a pod in each arm, and returns an error unless the arms that mirror rewrite its images,
// all in the same way, and the others keep them.
func (c *cluster) checkSameResult(ctx context.Context, arms []*arm) error {
	mirrored := ""
	for _, a := range arms {
		body := a.nextBody()
		answer, err := c.send(ctx, a.namespace, body)
		if err != nil {
			return fmt.Errorf("create a pod in the arm %q: %w", a.name, err)
		}
		sent, err := imagesOf(body)
		if err != nil {
			return err
		}
		stored, err := imagesOf(answer)
		if err != nil {
			return err
		}
		if a.name == webhook {
			mirrored = stored
		}
		if err := checkImages(a.name, sent, stored, mirrored); err != nil {
			return fmt.Errorf("compare the arms: %w: install the webhook with the mirrors of deploy/04-webhook.yaml", err)
		}
	}
	return nil
}

// checkImages returns an error unless the images that an arm stores are the mirrored ones, or those that were
// sent if it does not mirror.
func checkImages(name, sent, stored, mirrored string) error {
	switch mirrors := name != none && name != plugin; {
	case !mirrors && stored != sent:
		return fmt.Errorf("the arm %q gets the images %q, but stores %q", name, sent, stored)
	case mirrors && stored == sent:
		return fmt.Errorf("the arm %q does not rewrite the images %q", name, sent)
	case mirrors && stored != mirrored:
		return fmt.Errorf("the webhook stores the images %q, but the arm %q stores %q", mirrored, name, stored)
	}
	return nil
}

// imagesOf returns the images of a pod, in JSON.
func imagesOf(content []byte) (images string, err error) {
	var pod corev1.Pod
	if err := runtime.DecodeInto(scheme.Codecs.UniversalDecoder(), content, &pod); err != nil {
		return "", err
	}
	for _, container := range pod.Spec.Containers {
		images += container.Image + " "
	}
	return images, nil
}
