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
// namespace. In the hybrid form they include a copy of the installed webhook that mirrors.
type policies struct {
	namespace string
	objects   *celpolicy.Objects
	webhook   *admissionv1.MutatingWebhookConfiguration // nil: policies mirror
}

// hybridPath is the path of the webhook that mirrors and warns. See deploy/hybrid.
const hybridPath = "/mutating/warn"

// newPolicies returns the policies for a namespace.
func newPolicies(namespace string, form celpolicy.Form, installed admissionv1.MutatingWebhook) (*policies, error) {
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
	p := &policies{namespace: namespace, objects: objects}
	p.limit()
	if form == celpolicy.Hybrid {
		installed.NamespaceSelector, installed.ClientConfig.Service.Path = p.selector(), new(hybridPath)
		p.webhook = &admissionv1.MutatingWebhookConfiguration{ObjectMeta: p.meta(), Webhooks: []admissionv1.MutatingWebhook{installed}}
	}
	return p, nil
}

func (p *policies) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: p.namespace, Labels: map[string]string{ownLabel: ownValue}}
}

func (p *policies) selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.namespace}}
}

// limit keeps the policies about pods, and limits them to the namespace.
func (p *policies) limit() {
	o := p.objects
	o.Validating = slices.DeleteFunc(o.Validating, func(v *admissionv1.ValidatingAdmissionPolicy) bool { return v.Name != celpolicy.Name })
	o.ValidatingBindings = slices.DeleteFunc(o.ValidatingBindings, func(b *admissionv1.ValidatingAdmissionPolicyBinding) bool { return b.Name != celpolicy.Name })
	o.Validating[0].ObjectMeta, o.ValidatingBindings[0].ObjectMeta = p.meta(), p.meta()
	o.ValidatingBindings[0].Spec.PolicyName = p.namespace
	o.ValidatingBindings[0].Spec.MatchResources.NamespaceSelector = p.selector()
	for i := range o.Mutating {
		o.Mutating[i].ObjectMeta, o.MutatingBindings[i].ObjectMeta = p.meta(), p.meta()
		o.MutatingBindings[i].Spec.PolicyName = p.namespace
		o.MutatingBindings[i].Spec.MatchResources.NamespaceSelector = p.selector()
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
	if p.webhook != nil {
		_, err := api.MutatingWebhookConfigurations().Create(ctx, p.webhook, o)
		errs = append(errs, err)
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
	} {
		if !apierrors.IsNotFound(failed) { // Kubernetes 1.35 has no MutatingAdmissionPolicy v1
			err = errors.Join(err, failed)
		}
	}
	return err
}

// activeLimit is how long the API server may take to compile and apply new policies.
const activeLimit = time.Minute

// waitActive waits until the API server applies the policies.
func (p *policies) waitActive(ctx context.Context, client kubernetes.Interface) error {
	ctx, stop := context.WithTimeoutCause(ctx, activeLimit, fmt.Errorf("the API server does not apply the policies within %s: see its log", activeLimit))
	defer stop()
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		denied, _ := outcome(ctx, client, p.namespace, "registry.example/app:latest")
		admitted, image := outcome(ctx, client, p.namespace, "nginx:1.25")
		return !denied && admitted && image != "nginx:1.25", nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// outcome creates a pod with an image as a dry run. It returns whether the pod is admitted, and its
// image.
func outcome(ctx context.Context, client kubernetes.Interface, namespace, image string) (admitted bool, stored string) {
	pod, err := client.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: image}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return false, ""
	}
	return true, pod.Spec.Containers[0].Image
}
