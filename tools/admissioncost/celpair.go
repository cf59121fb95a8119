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
)

// CELPair are two policies that do in the API server what the installed webhooks do: one denies
// images without a fixed tag, the other rewrites images to the mirrors of deploy/04-webhook.yaml.
// They have the rules and the match conditions of the webhooks, and apply to one namespace.
//
// Two differences remain. The policies do not check the grammar of references, so a reference
// that the webhook denies as invalid may pass. For an update that changes an image, they check
// all images of the pod, the webhook only the new ones.
type CELPair struct {
	validating        *admissionv1.ValidatingAdmissionPolicy
	validatingBinding *admissionv1.ValidatingAdmissionPolicyBinding
	mutating          *admissionv1.MutatingAdmissionPolicy // nil: the API server does not have the kind
	mutatingBinding   *admissionv1.MutatingAdmissionPolicyBinding
}

// NewCELPair returns the policies for a namespace, with its name and the given labels.
func NewCELPair(namespace string, labels map[string]string, installed Webhooks) *CELPair {
	meta := metav1.ObjectMeta{Name: namespace, Labels: labels}
	match := &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
		MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace},
	}}
	fail, ignore := admissionv1.Fail, admissionv1.Ignore
	return &CELPair{
		validating: &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &fail,
			MatchConstraints: matchConstraints(installed.Validating.Rules),
			MatchConditions:  installed.Validating.MatchConditions,
			Variables:        []admissionv1.Variable{{Name: "floating", Expression: floatingImages()}},
			Validations: []admissionv1.Validation{{
				Expression:        "variables.floating.size() == 0",
				MessageExpression: `"the tag latest is not allowed: " + variables.floating.join(", ")`,
			}},
		}},
		validatingBinding: &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: namespace, MatchResources: match, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		}},
		mutating: &admissionv1.MutatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      &ignore,
			MatchConstraints:   matchConstraints(installed.Mutating.Rules),
			MatchConditions:    append(slices.Clone(installed.Mutating.MatchConditions), mirroredCondition()),
			ReinvocationPolicy: *installed.Mutating.ReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: mirrorPatch()},
			}},
		}},
		mutatingBinding: &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName: namespace, MatchResources: match,
		}},
	}
}

func matchConstraints(rules []admissionv1.RuleWithOperations) *admissionv1.MatchResources {
	match := &admissionv1.MatchResources{}
	for _, rule := range rules {
		match.ResourceRules = append(match.ResourceRules, admissionv1.NamedRuleWithOperations{RuleWithOperations: rule})
	}
	return match
}

// Mutates reports whether the pair rewrites images.
func (p *CELPair) Mutates() bool { return p.mutating != nil }

// Create creates the policies. On an API server without MutatingAdmissionPolicy v1 (Kubernetes
// 1.35), it creates only the validating half, and Mutates returns false.
func (p *CELPair) Create(ctx context.Context, client kubernetes.Interface) error {
	api, o := client.AdmissionregistrationV1(), metav1.CreateOptions{}
	_, err := api.ValidatingAdmissionPolicies().Create(ctx, p.validating, o)
	if err == nil {
		_, err = api.ValidatingAdmissionPolicyBindings().Create(ctx, p.validatingBinding, o)
	}
	if err != nil {
		return fmt.Errorf("create the validating CEL policy: %w", err)
	}
	_, err = api.MutatingAdmissionPolicies().Create(ctx, p.mutating, o)
	if apierrors.IsNotFound(err) {
		p.mutating, p.mutatingBinding = nil, nil
		return nil
	}
	if err == nil {
		_, err = api.MutatingAdmissionPolicyBindings().Create(ctx, p.mutatingBinding, o)
	}
	if err != nil {
		return fmt.Errorf("create the mutating CEL policy: %w", err)
	}
	return nil
}

// deletePolicies deletes the CEL policies with a label.
func deletePolicies(ctx context.Context, client kubernetes.Interface, selector string) (err error) {
	api, o, list := client.AdmissionregistrationV1(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: selector}
	for _, failed := range []error{
		api.ValidatingAdmissionPolicyBindings().DeleteCollection(ctx, o, list),
		api.ValidatingAdmissionPolicies().DeleteCollection(ctx, o, list),
		api.MutatingAdmissionPolicyBindings().DeleteCollection(ctx, o, list),
		api.MutatingAdmissionPolicies().DeleteCollection(ctx, o, list),
	} {
		if !apierrors.IsNotFound(failed) { // Kubernetes 1.35 has no MutatingAdmissionPolicy v1
			err = errors.Join(err, failed)
		}
	}
	return err
}

// activeLimit is how long the API server may take to compile and apply new policies.
const activeLimit = time.Minute

// WaitActive waits until the API server applies the policies.
func (p *CELPair) WaitActive(ctx context.Context, client kubernetes.Interface) error {
	ctx, stop := context.WithTimeoutCause(ctx, activeLimit, fmt.Errorf("the API server does not apply the CEL policies within %s: see its log", activeLimit))
	defer stop()
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		denied, _ := outcome(ctx, client, p.validating.Name, "registry.example/app:latest")
		admitted, image := outcome(ctx, client, p.validating.Name, "nginx:1.25")
		return !denied && admitted && (!p.Mutates() || image != "nginx:1.25"), nil
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
