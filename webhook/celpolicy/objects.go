package celpolicy

import (
	"fmt"
	"io"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/admission"
)

// The names of the objects. A binding has the name of its policy, unless it is for another mode.
const (
	Name          = "image-webhook"
	warnName      = Name + "-warn"
	workloadsName = Name + "-workloads"
	modeName      = Name + "-unknown-mode"
)

// probeNamespace is the namespace in which certgen tries the webhook. See deploy/01-namespace.yaml.
const probeNamespace = "image-webhook-probe"

// Objects are the policies and their bindings.
type Objects struct {
	Validating         []*admissionregistrationv1.ValidatingAdmissionPolicy
	ValidatingBindings []*admissionregistrationv1.ValidatingAdmissionPolicyBinding
	Mutating           []*admissionregistrationv1.MutatingAdmissionPolicy
	MutatingBindings   []*admissionregistrationv1.MutatingAdmissionPolicyBinding
}

// newObjects returns the objects of a form. The policy that denies comes last: a cluster that has only some
// of them mirrors before it denies.
func newObjects(rules *admission.Rules, form Form) *Objects {
	webhooks := registrations()
	pods, warn, workloads := webhooks["validating.image-webhook.dev"], webhooks["warn.image-webhook.dev"], webhooks["workloads.image-webhook.dev"]
	o := &Objects{}
	warned := []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit}
	if form == Complete {
		warned = append(warned, admissionregistrationv1.Warn)
		o.addMutating(rules, webhooks["mutating.image-webhook.dev"])
		o.addUnknownMode(webhooks["unknown-mode.image-webhook.dev"])
		o.addValidating(workloadsName, rules, workloads, workloadSubject, admissionregistrationv1.Ignore)
		o.bind(workloadsName, workloadsName, workloads.namespaces, admissionregistrationv1.Warn)
		o.bind(workloadsName+"-warn", workloadsName, warn.namespaces, admissionregistrationv1.Warn)
		pods.conditions = append(slices.Clip(pods.conditions), NotAProbe())
	} else {
		// There, certgen must get the verdict of the webhook. A quota admits no pod.
		pods.exclude(probeNamespace)
		warn.exclude(probeNamespace)
	}
	o.addValidating(Name, rules, pods, podSubject, admissionregistrationv1.Fail)
	o.bind(Name, Name, pods.namespaces, admissionregistrationv1.Deny)
	o.bind(warnName, Name, warn.namespaces, warned...)
	return o
}

// Programs are the users of the Jobs in deploy/03, 06 and 07.
var Programs = []string{
	"system:serviceaccount:image-webhook:certgen",
	"system:serviceaccount:image-webhook:patch-webhookconfigure",
	"system:serviceaccount:image-webhook:renew",
}

// NotAProbe returns the condition that lets these Jobs get the verdict of the webhook in the cluster. They use a
// namespace whose quota admits no pod.
func NotAProbe() admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{
		Name: "not-a-probe", Expression: "!(request.namespace == " + literal(probeNamespace) + " && request.userInfo.username in [" + literals(Programs) + "])",
	}
}

// meta returns the metadata of an object.
func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/name": "image-webhook", "app.kubernetes.io/component": "policy"}}
}

func (o *Objects) addValidating(name string, rules *admission.Rules, r registration, s subject, failure admissionregistrationv1.FailurePolicyType) {
	j := newJudge(rules, s)
	j.addImages(s)
	j.addAllowed()
	j.addReferences(j.suspect())
	j.addNames()
	if len(j.tables.Mirrors) > 0 {
		j.addMirrors(j.tables)
		j.addOrigins(j.tables)
	}
	j.addAllNames(j.tables)
	j.add()
	message := j.addMessage(s.path)
	forbidden := metav1.StatusReasonForbidden
	validation := admissionregistrationv1.Validation{
		Expression: "variables.denied.size() == 0", Message: "an image is not allowed", MessageExpression: message, Reason: &forbidden,
	}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta(name), Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		FailurePolicy:    &failure,
		MatchConstraints: r.constraints(),
		MatchConditions:  r.conditions,
		Variables:        j.usedBy(validation.Expression, validation.MessageExpression),
		Validations:      []admissionregistrationv1.Validation{validation},
	}}
	if rules.Version != "" {
		policy.Annotations = map[string]string{deploy.PolicyVersion: rules.Version}
		policy.Spec.AuditAnnotations = []admissionregistrationv1.AuditAnnotation{{Key: "policy", ValueExpression: literal(rules.Version)}}
	}
	o.Validating = append(o.Validating, policy)
}

func newJudge(rules *admission.Rules, s subject) judge {
	return judge{variables: &variables{}, rules: rules, tables: rules.Policy.Tables(), unmirrored: s == workloadSubject}
}

// addUnknownMode adds the policy that warns about an unknown mode.
func (o *Objects) addUnknownMode(r registration) {
	ignore := admissionregistrationv1.Ignore
	o.Validating = append(o.Validating, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta(modeName), Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		FailurePolicy:    &ignore,
		MatchConstraints: r.constraints(),
		Validations: []admissionregistrationv1.Validation{{
			Expression: "false",
			Message:    "a namespace with an unknown mode is treated as deny",
			MessageExpression: `request.kind.kind == 'Namespace' ?
'namespace ' + strings.quote(object.metadata.name) + ' is treated as deny: set its label image-webhook.dev/mode to deny, warn or off instead of ' +
  strings.quote(object.metadata.?labels[?'image-webhook.dev/mode'].orValue('')) :
'namespace ' + strings.quote(request.namespace) + ' is treated as deny: its label image-webhook.dev/mode is not deny, warn or off'`,
		}},
	}})
	o.bind(modeName, modeName, r.namespaces, admissionregistrationv1.Warn)
}

func (o *Objects) bind(name, policy string, namespaces *metav1.LabelSelector, actions ...admissionregistrationv1.ValidationAction) {
	o.ValidatingBindings = append(o.ValidatingBindings, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: meta(name), Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy, ValidationActions: actions,
			MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: namespaces},
		},
	})
}

// addMutating adds the policy that changes pods, if the rules change them. It may fail: a pod with its original
// image is better than no pod.
func (o *Objects) addMutating(rules *admission.Rules, r registration) {
	j := newJudge(rules, podSubject)
	j.addImages(podSubject)
	j.addReferences("")
	j.addNames()
	if len(j.tables.Mirrors) > 0 {
		j.addMirrors(j.tables)
	}
	patches := j.patches()
	if len(patches) == 0 {
		return
	}
	ignore := admissionregistrationv1.Ignore
	patch := joined(patches)
	o.Mutating = append(o.Mutating, &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: meta(Name), Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
		FailurePolicy:      &ignore,
		MatchConstraints:   r.constraints(),
		MatchConditions:    append(slices.Clone(r.conditions), j.changeable()),
		ReinvocationPolicy: admissionregistrationv1.IfNeededReinvocationPolicy,
		Variables:          j.usedBy(patch),
		Mutations: []admissionregistrationv1.Mutation{{
			PatchType: admissionregistrationv1.PatchTypeJSONPatch, JSONPatch: &admissionregistrationv1.JSONPatch{Expression: patch},
		}},
	}})
	o.MutatingBindings = append(o.MutatingBindings, &admissionregistrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: meta(Name), Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName: Name, MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: r.namespaces},
		},
	})
}

// All returns the objects in the order in which a cluster needs them.
func (o *Objects) All() (objects []runtime.Object) {
	for _, policy := range o.Mutating {
		objects = append(objects, typed(policy, "MutatingAdmissionPolicy"))
	}
	for _, binding := range o.MutatingBindings {
		objects = append(objects, typed(binding, "MutatingAdmissionPolicyBinding"))
	}
	for _, policy := range o.Validating {
		objects = append(objects, typed(policy, "ValidatingAdmissionPolicy"))
	}
	for _, binding := range o.ValidatingBindings {
		objects = append(objects, typed(binding, "ValidatingAdmissionPolicyBinding"))
	}
	return objects
}

func typed[T runtime.Object](object T, kind string) T {
	object.GetObjectKind().SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind(kind))
	return object
}

// Write writes the objects as YAML documents.
func (o *Objects) Write(out io.Writer) error {
	for i, object := range o.All() {
		text, err := document(object)
		if err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// Fields returns an object as a map, without its status.
func Fields(object runtime.Object) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("encode the policies: %w", err)
	}
	delete(fields, "status")
	return fields, nil
}

// document returns an object as a YAML document.
func document(object runtime.Object) ([]byte, error) {
	fields, err := Fields(object)
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode the policies: %w", err)
	}
	return text, nil
}
