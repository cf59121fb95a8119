package status

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/deploy"
)

// denyPolicy is the policy that denies in the hybrid form, with its bindings. The zero value: there is
// none.
type denyPolicy struct {
	policy   *admissionregistrationv1.ValidatingAdmissionPolicy
	bindings []admissionregistrationv1.ValidatingAdmissionPolicyBinding
}

const (
	policyKind  = "validatingadmissionpolicy"
	bindingKind = "validatingadmissionpolicybinding"

	policyObject = policyKind + "/" + deploy.DenyingPolicy
)

// exists reports whether an object of the policy exists.
func (p denyPolicy) exists() bool { return p.policy != nil || len(p.bindings) > 0 }

// objects returns the objects of the policy as configurations without webhooks.
func (p denyPolicy) objects() (objects []configuration) {
	if p.policy != nil {
		objects = append(objects, configuration{kind: policyKind, name: p.policy.Name})
	}
	for _, b := range p.bindings {
		objects = append(objects, configuration{kind: bindingKind, name: b.Name})
	}
	return objects
}

// readDenyPolicy reads the policy and its bindings. It is not an error if they do not exist.
func readDenyPolicy(ctx context.Context, client kubernetes.Interface) (r Read[denyPolicy]) {
	api := client.AdmissionregistrationV1()
	found, err := api.ValidatingAdmissionPolicies().Get(ctx, deploy.DenyingPolicy, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return Read[denyPolicy]{Err: err}
	}
	if err == nil {
		r.Value.policy = found
	}
	bindings, err := api.ValidatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return Read[denyPolicy]{Err: err}
	}
	for _, b := range bindings.Items {
		if b.Spec.PolicyName == deploy.DenyingPolicy {
			r.Value.bindings = append(r.Value.bindings, b)
		}
	}
	return r
}

// denyPolicyOf returns the policy of manifests, for an installation in a namespace.
func denyPolicyOf(documents []document, namespace string) (p denyPolicy) {
	for _, d := range documents {
		switch d.Kind {
		case "ValidatingAdmissionPolicy":
			p.policy = new(decode[admissionregistrationv1.ValidatingAdmissionPolicy](d))
		case "ValidatingAdmissionPolicyBinding":
			p.bindings = append(p.bindings, decode[admissionregistrationv1.ValidatingAdmissionPolicyBinding](d))
		}
	}
	for _, b := range p.bindings {
		moveSelector(b.Spec.MatchResources.NamespaceSelector, namespace)
	}
	return p
}

// comparePolicy compares the policy with that of the hybrid form, except for its expressions, which are
// those of the policy file.
func (s evaluation) comparePolicy(found, want denyPolicy) (checks []Check) {
	if want.policy == nil {
		return nil
	}
	if found.policy == nil {
		return []Check{checkRegistration.problem(policyObject, s.applyPolicy(), "does not exist: nothing denies")}
	}
	differs := func(object string, fields []string) {
		if len(fields) > 0 {
			checks = append(checks, checkRegistration.problem(object, s.applyPolicy(), "differs from deploy/%s in %s", policyManifest, strings.Join(fields, ", ")))
		}
	}
	differs(policyObject, differentFields(matchOf(found.policy), matchOf(want.policy)))
	for _, w := range want.bindings {
		object := bindingKind + "/" + w.Name
		i := slices.IndexFunc(found.bindings, func(b admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool { return b.Name == w.Name })
		if i < 0 {
			checks = append(checks, checkRegistration.problem(object, s.applyPolicy(), "does not exist: %s", missingBinding[w.Name]))
			continue
		}
		differs(object, differentFields(bindingFields(found.bindings[i]), bindingFields(w)))
	}
	return checks
}

// missingBinding is what a missing binding means.
var missingBinding = map[string]string{
	deploy.DenyingPolicy:  "nothing denies",
	deploy.WarningBinding: "the audit log does not show what the mode deny would deny",
}

// namedField is a field that is compared.
type namedField struct {
	name  string
	value any
}

// differentFields returns the names of the fields with different values.
func differentFields(found, want []namedField) (names []string) {
	for i, w := range want {
		if !reflect.DeepEqual(found[i].value, w.value) {
			names = append(names, describeField(w.name, found[i].value, w.value))
		}
	}
	return names
}

// matchOf returns which requests a policy applies to, with the defaults of the API server.
func matchOf(p *admissionregistrationv1.ValidatingAdmissionPolicy) []namedField {
	h := hook{FailurePolicy: p.Spec.FailurePolicy, MatchConditions: p.Spec.MatchConditions}
	if match := p.Spec.MatchConstraints; match != nil {
		h.MatchPolicy, h.NamespaceSelector, h.ObjectSelector = match.MatchPolicy, match.NamespaceSelector, match.ObjectSelector
		for _, rule := range match.ResourceRules {
			h.Rules = append(h.Rules, rule.RuleWithOperations)
		}
	}
	h = withDefaults(h)
	return []namedField{
		{"failurePolicy", *h.FailurePolicy},
		{"matchConstraints", []any{h.Rules, *h.MatchPolicy, h.NamespaceSelector, h.ObjectSelector}},
		{"matchConditions", h.MatchConditions},
	}
}

func bindingFields(b admissionregistrationv1.ValidatingAdmissionPolicyBinding) []namedField {
	var h hook
	var rules any
	if match := b.Spec.MatchResources; match != nil {
		h.MatchPolicy, h.NamespaceSelector, h.ObjectSelector, rules = match.MatchPolicy, match.NamespaceSelector, match.ObjectSelector, len(match.ResourceRules)
	}
	h = withDefaults(h)
	return []namedField{
		{"validationActions", b.Spec.ValidationActions},
		{"matchResources", []any{h.NamespaceSelector, h.ObjectSelector, rules}},
	}
}

// olderPolicy reports a policy that was made from another version of the policy file.
func (s evaluation) olderPolicy(version string) []Check {
	policy := s.DenyPolicy.Value.policy
	if !s.installed.hybrid || policy == nil {
		return nil
	}
	if made := policy.Annotations[deploy.PolicyVersion]; made != "" && made != version {
		return []Check{checkPolicy.problem(policyObject, s.applyPolicy(), "denies by version %s of the policy file, the ConfigMap has version %s", made, version)}
	}
	return nil
}

// applyPolicy returns the command that applies the policy for the policy file of the installation.
func (s evaluation) applyPolicy() string {
	if s.Policy.Value == nil || s.Policy.Value.Data[policyKey] == hybridPolicyFile() {
		return apply(policyManifest)
	}
	return fmt.Sprintf(`kubectl get configmap %s -n %s -o go-template='{{index .data "%s"}}' | kubectl image-webhook policy --validating --config=/dev/stdin | kubectl apply -f -`,
		s.Policy.Value.Name, s.Namespace, policyKey)
}

const policyKey = "policy.yaml" // of the ConfigMap in 04

// hybridPolicyFile returns the policy file of 04, from which the policy in deploy/hybrid is made.
func hybridPolicyFile() string {
	documents := webhookDocuments()
	i := slices.IndexFunc(documents, func(d document) bool { return d.Kind == "ConfigMap" })
	return decode[corev1.ConfigMap](documents[i]).Data[policyKey]
}

// leftovers reports the objects that only the other form has. They stay until the installed form denies.
func (s evaluation) leftovers() []Check {
	remove := "kubectl " + strings.Join(deploy.Leftovers(s.installed.hybrid), " ")
	denyingConfiguration, found := find(s.Configurations.Value, validatingKind+"/"+deploy.DenyingConfiguration)
	switch {
	case s.installed.hybrid && found:
		if len(s.comparePolicy(s.DenyPolicy.Value, s.installed.policy)) > 0 {
			remove = s.applyPolicy() + " && " + remove
		}
		return []Check{checkRegistration.problem(denyingConfiguration.object(), remove,
			"is left of the form without a policy: pods are refused while no replica answers")}
	case !s.installed.hybrid && s.DenyPolicy.Value.exists():
		if h, ok := denyingConfiguration.findHook(denying); !ok || *h.FailurePolicy != admissionregistrationv1.Fail {
			remove = apply(registerManifest) + " && " + rerun(patchManifest) + " && kubectl wait --for=condition=complete job -l job=patch-webhookconfigure -n " + s.Namespace + " --timeout=6m && " + remove
		}
		return []Check{checkRegistration.problem(s.DenyPolicy.Value.objects()[0].object(), remove,
			"is left of the hybrid form: it denies by the policy file from which it was made")}
	}
	return nil
}
