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
	validatingName    = "validating.image-webhook.dev"
	mutatingName      = "mutating.image-webhook.dev"
)

// Webhooks are the two webhooks that the API server calls for a new pod in the mode deny.
type Webhooks struct {
	Validating admissionv1.ValidatingWebhook
	Mutating   admissionv1.MutatingWebhook
}

// InstalledWebhooks returns the webhooks that are installed in a cluster.
func InstalledWebhooks(ctx context.Context, client kubernetes.Interface) (w Webhooks, err error) {
	api := client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, configurationName, metav1.GetOptions{})
	if err != nil {
		return w, notInstalled(validatingName, err)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, configurationName, metav1.GetOptions{})
	if err != nil {
		return w, notInstalled(mutatingName, err)
	}
	v := slices.IndexFunc(validating.Webhooks, func(w admissionv1.ValidatingWebhook) bool { return w.Name == validatingName })
	m := slices.IndexFunc(mutating.Webhooks, func(w admissionv1.MutatingWebhook) bool { return w.Name == mutatingName })
	if v < 0 || m < 0 {
		return w, notInstalled(validatingName+" or "+mutatingName, errors.New("the configuration does not contain it"))
	}
	return Webhooks{validating.Webhooks[v], mutating.Webhooks[m]}, nil
}

func notInstalled(name string, err error) error {
	return fmt.Errorf("read webhook %s: %w: install it with `make controlplane` or `make up install`", name, err)
}
