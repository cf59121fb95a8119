package admissioncost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// policies are the objects of `kubectl image-webhook policy` for the policy file of deploy/04, for one
// namespace.
type policies struct {
	namespace string
	name      string // of the objects
	objects   *celpolicy.Objects
}

// newPolicies returns the policies for a namespace. Their names are that of the namespace and the suffix.
func newPolicies(namespace, suffix string, form celpolicy.Form) (*policies, error) {
	content, err := deploy.PolicyFile()
	if err != nil {
		return nil, err
	}
	rules, err := policy.Read("deploy/04-webhook.yaml", []byte(content), policy.Flags{})
	if err != nil {
		return nil, err
	}
	objects, err := celpolicy.New(rules, celpolicy.Options{Form: form, For: form.Oldest()})
	if err != nil {
		return nil, err
	}
	p := &policies{namespace: namespace, name: namespace + suffix, objects: objects}
	p.limit()
	return p, nil
}

// registerPolicies returns the function that creates the policies of a form and, in the hybrid form, the webhook
// that mirrors.
func registerPolicies(form celpolicy.Form) func(context.Context, *cluster, string) error {
	return func(ctx context.Context, c *cluster, namespace string) error {
		p, err := newPolicies(namespace, "", form)
		if err != nil {
			return err
		}
		if err := p.create(ctx, c.client); err != nil || form != celpolicy.Hybrid {
			return err
		}
		return registerMutating(ctx, c, namespace, hybridPath)
	}
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{ownLabel: ownValue}}
}

func selector(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

// limit keeps the policies about pods, and limits them to the namespace.
func (p *policies) limit() {
	o := p.objects
	o.Validating = slices.DeleteFunc(o.Validating, func(v *admissionv1.ValidatingAdmissionPolicy) bool { return v.Name != celpolicy.Name })
	o.ValidatingBindings = slices.DeleteFunc(o.ValidatingBindings, func(b *admissionv1.ValidatingAdmissionPolicyBinding) bool { return b.Name != celpolicy.Name })
	o.Validating[0].ObjectMeta, o.ValidatingBindings[0].ObjectMeta = meta(p.name), meta(p.name)
	o.ValidatingBindings[0].Spec.PolicyName = p.name
	o.ValidatingBindings[0].Spec.MatchResources.NamespaceSelector = selector(p.namespace)
	for i := range o.Mutating {
		o.Mutating[i].ObjectMeta, o.MutatingBindings[i].ObjectMeta = meta(p.name), meta(p.name)
		o.MutatingBindings[i].Spec.PolicyName = p.name
		o.MutatingBindings[i].Spec.MatchResources.NamespaceSelector = selector(p.namespace)
	}
}

// errNoMutatingPolicy is the error of an API server without MutatingAdmissionPolicy v1.
var errNoMutatingPolicy = errors.New("the API server has no MutatingAdmissionPolicy v1: use Kubernetes 1.36 or newer")

// create creates the objects.
func (p *policies) create(ctx context.Context, client kubernetes.Interface) error {
	api, o := client.AdmissionregistrationV1(), metav1.CreateOptions{}
	var errs []error
	for _, object := range p.objects.Mutating {
		_, err := api.MutatingAdmissionPolicies().Create(ctx, object, o)
		if apierrors.IsNotFound(err) {
			return errNoMutatingPolicy
		}
		errs = append(errs, err)
	}
	for _, object := range p.objects.MutatingBindings {
		_, err := api.MutatingAdmissionPolicyBindings().Create(ctx, object, o)
		errs = append(errs, err)
	}
	for i := range p.objects.Validating {
		_, policyErr := api.ValidatingAdmissionPolicies().Create(ctx, p.objects.Validating[i], o)
		_, bindingErr := api.ValidatingAdmissionPolicyBindings().Create(ctx, p.objects.ValidatingBindings[i], o)
		errs = append(errs, policyErr, bindingErr)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("create the policies: %w", err)
	}
	return nil
}

// deletePolicies deletes the policies and the webhooks with a label.
func deletePolicies(ctx context.Context, client kubernetes.Interface, selector string) (err error) {
	api, o, list := client.AdmissionregistrationV1(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: selector}
	for _, failed := range []error{
		api.ValidatingAdmissionPolicyBindings().DeleteCollection(ctx, o, list),
		api.ValidatingAdmissionPolicies().DeleteCollection(ctx, o, list),
		api.MutatingAdmissionPolicyBindings().DeleteCollection(ctx, o, list),
		api.MutatingAdmissionPolicies().DeleteCollection(ctx, o, list),
		api.MutatingWebhookConfigurations().DeleteCollection(ctx, o, list),
		api.ValidatingWebhookConfigurations().DeleteCollection(ctx, o, list),
	} {
		if !apierrors.IsNotFound(failed) { // Kubernetes 1.35 has no MutatingAdmissionPolicy v1
			err = errors.Join(err, failed)
		}
	}
	return err
}

// activeLimit is how long the API server may take to compile and apply new policies, or to call new webhooks.
const activeLimit = time.Minute

// waitActive waits until the API server applies the rules to a namespace.
func waitActive(ctx context.Context, client kubernetes.Interface, namespace string) error {
	ctx, stop := context.WithTimeoutCause(ctx, activeLimit, fmt.Errorf("the API server does not apply the rules within %s: see its log", activeLimit))
	defer stop()
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		return isMirrored(ctx, client, namespace) && isDenied(ctx, client, namespace), nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
