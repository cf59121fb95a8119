package admissioncost

import (
	"context"
	"errors"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	configurationName = "image-webhook"
	mutatingName      = "mutating.image-webhook.dev"
	validatingName    = "validating.image-webhook.dev"
)

// installedMutating returns the webhook that mirrors, as it is installed in a cluster.
func installedMutating(ctx context.Context, client kubernetes.Interface) (w admissionv1.MutatingWebhook, err error) {
	installed, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, configurationName, metav1.GetOptions{})
	if err != nil {
		return w, notInstalled(mutatingName, err)
	}
	i := slices.IndexFunc(installed.Webhooks, func(w admissionv1.MutatingWebhook) bool { return w.Name == mutatingName })
	if i < 0 {
		return w, notInstalled(mutatingName, errors.New("the configuration does not contain it"))
	}
	return installed.Webhooks[i], nil
}

func notInstalled(name string, err error) error {
	return fmt.Errorf("read webhook %s: %w: install it with `make controlplane` or `make up install`", name, err)
}
