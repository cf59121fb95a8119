package certgen

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
)

// configuration holds the fields of a validating or mutating webhook configuration
// that certgen reads.
type configuration struct {
	resourceVersion string
	webhooks        []webhook
}

type webhook struct {
	name          string
	client        admissionregistrationv1.WebhookClientConfig
	failurePolicy *admissionregistrationv1.FailurePolicyType
}

// configurationClient reads and patches the configurations of one kind.
type configurationClient struct {
	kind  string
	get   func(ctx context.Context, name string) (configuration, error)
	patch func(ctx context.Context, name string, patch []byte) error
}

func validatingClient(api admissionclient.ValidatingWebhookConfigurationsGetter) configurationClient {
	type object = *admissionregistrationv1.ValidatingWebhookConfiguration
	return newConfigurationClient("ValidatingWebhookConfiguration", api.ValidatingWebhookConfigurations(), func(found object) (hooks []webhook) {
		for _, w := range found.Webhooks {
			hooks = append(hooks, webhook{w.Name, w.ClientConfig, w.FailurePolicy})
		}
		return hooks
	})
}

func mutatingClient(api admissionclient.MutatingWebhookConfigurationsGetter) configurationClient {
	type object = *admissionregistrationv1.MutatingWebhookConfiguration
	return newConfigurationClient("MutatingWebhookConfiguration", api.MutatingWebhookConfigurations(), func(found object) (hooks []webhook) {
		for _, w := range found.Webhooks {
			hooks = append(hooks, webhook{w.Name, w.ClientConfig, w.FailurePolicy})
		}
		return hooks
	})
}

// generatedClient has the methods that the generated clients of both kinds share.
type generatedClient[T any] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (T, error)
	Patch(ctx context.Context, name string, patchType types.PatchType, patch []byte, options metav1.PatchOptions, subresources ...string) (T, error)
}

func newConfigurationClient[T metav1.Object](kind string, c generatedClient[T], webhooks func(T) []webhook) configurationClient {
	return configurationClient{
		kind: kind,
		get: func(ctx context.Context, name string) (configuration, error) {
			found, err := c.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return configuration{}, err
			}
			return configuration{found.GetResourceVersion(), webhooks(found)}, nil
		},
		patch: func(ctx context.Context, name string, patch []byte) error {
			_, err := c.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
			return err
		},
	}
}
