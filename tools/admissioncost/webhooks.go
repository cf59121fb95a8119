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

// hybridPath is the path of the webhook that mirrors and warns. See deploy/hybrid.
const hybridPath = "/mutating/warn"

// webhooks are the webhooks for pods.
type webhooks struct {
	mutating   admissionv1.MutatingWebhook
	validating admissionv1.ValidatingWebhook
}

// installedWebhooks returns the webhooks as they are installed in a cluster.
func installedWebhooks(ctx context.Context, client kubernetes.Interface) (*webhooks, error) {
	api := client.AdmissionregistrationV1()
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, configurationName, metav1.GetOptions{})
	if err != nil {
		return nil, notInstalled(mutatingName, err)
	}
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, configurationName, metav1.GetOptions{})
	if err != nil {
		return nil, notInstalled(validatingName, err)
	}
	m := slices.IndexFunc(mutating.Webhooks, func(w admissionv1.MutatingWebhook) bool { return w.Name == mutatingName })
	v := slices.IndexFunc(validating.Webhooks, func(w admissionv1.ValidatingWebhook) bool { return w.Name == validatingName })
	if m < 0 || v < 0 {
		return nil, notInstalled(mutatingName+" or "+validatingName, errors.New("the configuration does not contain it"))
	}
	return &webhooks{mutating.Webhooks[m], validating.Webhooks[v]}, nil
}

func notInstalled(name string, err error) error {
	return fmt.Errorf("read webhook %s: %w: install it with `make controlplane` or `make up install HYBRID=0`", name, err)
}

// registerWebhooks creates copies of both webhooks for a namespace.
func registerWebhooks(ctx context.Context, c *cluster, namespace string) error {
	copied := c.installed.validating
	copied.NamespaceSelector = selector(namespace)
	_, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx,
		&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: meta(namespace), Webhooks: []admissionv1.ValidatingWebhook{copied}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("copy the webhook %s: %w", validatingName, err)
	}
	return registerMutating(ctx, c, namespace, *c.installed.mutating.ClientConfig.Service.Path)
}

// registerMutating creates a copy of the webhook that mirrors, with a path, for a namespace.
func registerMutating(ctx context.Context, c *cluster, namespace, path string) error {
	copied := c.installed.mutating.DeepCopy()
	copied.NamespaceSelector, copied.ClientConfig.Service.Path = selector(namespace), &path
	_, err := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx,
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta(namespace), Webhooks: []admissionv1.MutatingWebhook{*copied}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("copy the webhook %s: %w", mutatingName, err)
	}
	return nil
}
