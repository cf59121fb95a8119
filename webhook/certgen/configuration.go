package certgen

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	"k8s.io/client-go/util/retry"
)

// configuration holds the fields of a validating or mutating webhook configuration
// that certgen reads.
type configuration struct {
	resourceVersion string
	annotations     map[string]string
	webhooks        []webhook
}

type webhook struct {
	name          string
	client        admissionregistrationv1.WebhookClientConfig
	failurePolicy *admissionregistrationv1.FailurePolicyType
}

// calling returns the webhooks that call a server with one of these host names.
func (c configuration) calling(hosts []string) []webhook {
	return slices.DeleteFunc(slices.Clone(c.webhooks), func(w webhook) bool { return !slices.Contains(hosts, w.host()) })
}

// host returns the name for which the server's certificate must be valid.
func (w webhook) host() string {
	if service := w.client.Service; service != nil {
		return service.Name + "." + service.Namespace + ".svc"
	}
	return w.url().Hostname()
}

// address returns the HOST:PORT that the API server calls.
func (w webhook) address() string {
	if service := w.client.Service; service != nil {
		port := int32(443)
		if service.Port != nil {
			port = *service.Port
		}
		return net.JoinHostPort(w.host(), strconv.Itoa(int(port)))
	}
	return w.url().Host
}

func (w webhook) url() *url.URL {
	if w.client.URL != nil {
		if parsed, err := url.Parse(*w.client.URL); err == nil {
			return parsed
		}
	}
	return &url.URL{}
}

func (w webhook) has(policy admissionregistrationv1.FailurePolicyType) bool {
	return w.failurePolicy != nil && *w.failurePolicy == policy
}

// configurationClient reads and patches the configurations of one kind.
type configurationClient struct {
	kind  string
	get   func(ctx context.Context, name string, options metav1.GetOptions) (configuration, error)
	patch func(ctx context.Context, name string, patch []byte) error
}

// namedConfiguration is one webhook configuration, which may not exist.
type namedConfiguration struct {
	configurationClient
	name     string
	optional bool // it is not an error if it does not exist
	denies   bool // in the hybrid form, a policy replaces it
}

func (n namedConfiguration) String() string { return n.kind + " " + n.name }

// calling returns the webhooks that call a server with one of these host names; none if the
// configuration does not exist.
func (n namedConfiguration) calling(ctx context.Context, hosts []string, options metav1.GetOptions) ([]webhook, error) {
	found, err := n.get(ctx, n.name, options)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found.calling(hosts), err
}

// managedConfigurations are the configurations that deploy/05-webhookconfigure.yaml and its
// counterpart in deploy/namespace-owner create. The one whose webhook denies is the last.
func managedConfigurations(api admissionclient.AdmissionregistrationV1Interface) []namedConfiguration {
	validating, mutating := validatingClient(api), mutatingClient(api)
	return []namedConfiguration{
		{configurationClient: mutating, name: "image-webhook"},
		{configurationClient: mutating, name: "image-webhook-namespace-owner", optional: true},
		{configurationClient: validating, name: "image-webhook-warnings"},
		{configurationClient: validating, name: "image-webhook", denies: true},
	}
}

// update patches the configuration with what change returns for it, and reports whether that was
// anything. After a conflict it reads the configuration again.
func (n namedConfiguration) update(ctx context.Context, change func(configuration) (configurationChange, error)) (changed bool, err error) {
	err = retry.RetryOnConflict(conflictBackoff, func() error {
		found, err := n.get(ctx, n.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		wanted, err := change(found)
		if err != nil || wanted.isEmpty() {
			return err
		}
		changed = true
		return n.patch(ctx, n.name, wanted.mergePatch(found.resourceVersion))
	})
	return changed && err == nil, err
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
		get: func(ctx context.Context, name string, options metav1.GetOptions) (configuration, error) {
			found, err := c.Get(ctx, name, options)
			if err != nil {
				return configuration{}, err
			}
			return configuration{found.GetResourceVersion(), found.GetAnnotations(), webhooks(found)}, nil
		},
		patch: func(ctx context.Context, name string, patch []byte) error {
			_, err := c.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
			return err
		},
	}
}

// fieldManager owns the fields that certgen sets. docs/gitops.md names it.
const fieldManager = "certgen"
