package certgen

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
)

// configuration is what certgen looks at in a webhook configuration of either
// kind.
type configuration struct {
	resourceVersion string
	webhooks        []webhook
}

type webhook struct {
	name          string
	client        admissionregistrationv1.WebhookClientConfig
	failurePolicy *admissionregistrationv1.FailurePolicyType
}

// want is what every webhook of a configuration shall have; an empty field is
// left as it is.
type want struct {
	caBundle      []byte
	failurePolicy admissionregistrationv1.FailurePolicyType
}

func (w want) String() string {
	if w.failurePolicy == "" {
		return "caBundle"
	}
	return "failurePolicy " + string(w.failurePolicy)
}

// change is what one webhook lacks of what is wanted.
type change struct {
	webhook webhook
	want
}

// changesTo returns the webhooks that are not yet as wanted. A CA that a webhook
// trusts already stays beside the wanted one: if the Secret was lost and made
// anew, the servers go on serving under the old CA until the new Secret reaches
// them, and must not be locked out meanwhile.
func (w want) changesTo(c configuration, now time.Time) []change {
	var changes []change
	for _, hook := range c.webhooks {
		lacking := change{webhook: hook}
		if len(w.caBundle) > 0 {
			if bundle := withEarlier(bytes.Clone(w.caBundle), hook.client.CABundle, now); !bytes.Equal(hook.client.CABundle, bundle) {
				lacking.caBundle = bundle
			}
		}
		if w.failurePolicy != "" && (hook.failurePolicy == nil || *hook.failurePolicy != w.failurePolicy) {
			lacking.failurePolicy = w.failurePolicy
		}
		if lacking.caBundle != nil || lacking.failurePolicy != "" {
			changes = append(changes, lacking)
		}
	}
	return changes
}

// mergePatch is a strategic merge patch: the API server merges the list of
// webhooks by name, so that fields this program has never heard of survive.
// The resource version makes it fail if anybody wrote since it was read.
func mergePatch(resourceVersion string, changes []change) []byte {
	type object map[string]any
	hooks := []object{}
	for _, c := range changes {
		hook := object{"name": c.webhook.name}
		if c.caBundle != nil {
			hook["clientConfig"] = object{"caBundle": c.caBundle}
		}
		if c.failurePolicy != "" {
			hook["failurePolicy"] = c.failurePolicy
		}
		hooks = append(hooks, hook)
	}
	data, err := json.Marshal(object{"metadata": object{"resourceVersion": resourceVersion}, "webhooks": hooks})
	if err != nil {
		panic(err) // strings and bytes only: it cannot fail
	}
	return data
}

// store reads and patches the configurations of one kind.
type store struct {
	kind  string
	get   func(ctx context.Context, name string) (configuration, error)
	patch func(ctx context.Context, name string, patch []byte) error
}

func validatingStore(api admissionclient.ValidatingWebhookConfigurationsGetter) store {
	type object = *admissionregistrationv1.ValidatingWebhookConfiguration
	return newStore("ValidatingWebhookConfiguration", api.ValidatingWebhookConfigurations(), func(found object) (hooks []webhook) {
		for _, w := range found.Webhooks {
			hooks = append(hooks, webhook{w.Name, w.ClientConfig, w.FailurePolicy})
		}
		return hooks
	})
}

func mutatingStore(api admissionclient.MutatingWebhookConfigurationsGetter) store {
	type object = *admissionregistrationv1.MutatingWebhookConfiguration
	return newStore("MutatingWebhookConfiguration", api.MutatingWebhookConfigurations(), func(found object) (hooks []webhook) {
		for _, w := range found.Webhooks {
			hooks = append(hooks, webhook{w.Name, w.ClientConfig, w.FailurePolicy})
		}
		return hooks
	})
}

// client is what the generated clients of both kinds have in common.
type client[T any] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (T, error)
	Patch(ctx context.Context, name string, form types.PatchType, patch []byte, options metav1.PatchOptions, subresources ...string) (T, error)
}

func newStore[T metav1.Object](kind string, c client[T], webhooks func(T) []webhook) store {
	return store{
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
