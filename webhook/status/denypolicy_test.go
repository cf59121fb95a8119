package status

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/deploy"
)

// inHybridForm installs the hybrid form with components.
func inHybridForm(t *testing.T, s *Snapshot, current issued, components ...string) {
	t.Helper()
	all := variants(DefaultNamespace)
	i := slices.IndexFunc(all, func(v variant) bool { return v.hybrid && slices.Equal(v.components, components) })
	s.Configurations.Value = patched(all[i].configurations, current.CA)
	s.DenyPolicy.Value = all[i].policy
}

func TestHybridForm(t *testing.T) {
	const (
		applyPolicy  = "kubectl apply -f deploy/hybrid/policy.yaml"
		binding      = "validatingadmissionpolicybinding/image-webhook"
		removePolicy = "kubectl delete validatingadmissionpolicybinding/image-webhook validatingadmissionpolicybinding/image-webhook-warn validatingadmissionpolicy/image-webhook --ignore-not-found"
		removeHook   = "kubectl delete validatingwebhookconfiguration/image-webhook --ignore-not-found"
	)
	problem := func(object, message, fix string) Check { return Check{"registration", Problem, object, message, fix} }
	registered := Check{Name: "registration", Result: OK, Message: "the webhooks are registered as in deploy/hybrid/05-webhookconfigure.yaml"}
	trusted := Check{Name: "ca-bundle", Result: OK, Message: "4 webhooks trust the certificates of 2 replicas and of the Secret"}
	denies := Check{Name: "failure-policy", Result: OK, Message: "all webhooks are on Ignore, so no request needs a replica"}
	damaged := func(change func(s *Snapshot)) func(*testing.T, *Snapshot, issued) {
		return func(t *testing.T, s *Snapshot, current issued) {
			inHybridForm(t, s, current)
			change(s)
		}
	}
	webhookLeft := func(t *testing.T, s *Snapshot, current issued) {
		configuration := s.Configurations.Value[0]
		inHybridForm(t, s, current)
		s.Configurations.Value = append(s.Configurations.Value, configuration)
	}
	policyLeft := func(s *Snapshot) { s.DenyPolicy.Value = denyPolicyOf(hybridDocuments(), DefaultNamespace) }
	checkScenarios(t, []scenario{
		{"healthy", damaged(func(*Snapshot) {}), []Check{registered, trusted, denies}},
		{"with a component", func(t *testing.T, s *Snapshot, current issued) {
			inHybridForm(t, s, current, deploy.OptIn)
			s.Namespaces.Value = append(s.Namespaces.Value, labeled("wiki", ""))
		}, []Check{
			{Name: "registration", Result: OK, Message: "the webhooks are registered as in deploy/hybrid/05-webhookconfigure.yaml with the component opt-in"}, trusted, denies,
			{Name: "modes", Result: Info, Message: "without a mode, no webhook is called: wiki"},
		}},
		{"no policy", damaged(func(s *Snapshot) { s.DenyPolicy.Value = denyPolicy{} }), []Check{
			problem(policyObject, "does not exist: nothing denies", applyPolicy), trusted, denies,
		}},
		{"no policy, and another policy file", damaged(func(s *Snapshot) {
			s.DenyPolicy.Value = denyPolicy{}
			s.Policy.Value.Name = "image-policy"
			s.Policy.Value.Data = map[string]string{"policy.yaml": manifestPolicy().Data["policy.yaml"] + "# mine\n"}
			s.Loaded = nil
		}), []Check{
			{Name: "policy", Result: OK, Object: "configmap/image-policy", Message: "policy.yaml is valid, version 0274ef0f1f04"},
			problem(policyObject, "does not exist: nothing denies",
				`kubectl get configmap image-policy -n image-webhook -o go-template='{{index .data "policy.yaml"}}' | kubectl image-webhook policy --validating --config=/dev/stdin | kubectl apply -f -`), trusted, denies,
		}},
		{"a policy on Ignore for other requests", damaged(func(s *Snapshot) {
			spec := &s.DenyPolicy.Value.policy.Spec
			spec.FailurePolicy = new(admissionregistrationv1.Ignore)
			spec.MatchConstraints.ResourceRules = spec.MatchConstraints.ResourceRules[:1]
			spec.MatchConditions = nil
		}), []Check{
			problem(policyObject, `differs from deploy/hybrid/policy.yaml in failurePolicy ("Ignore" instead of "Fail"), matchConstraints, matchConditions`, applyPolicy), trusted, denies,
		}},
		{"no binding", damaged(func(s *Snapshot) { s.DenyPolicy.Value.bindings = s.DenyPolicy.Value.bindings[1:] }), []Check{
			problem(binding, "does not exist: nothing denies", applyPolicy), trusted, denies,
		}},
		{"no binding for the mode warn", damaged(func(s *Snapshot) { s.DenyPolicy.Value.bindings = s.DenyPolicy.Value.bindings[:1] }), []Check{
			problem(binding+"-warn", "does not exist: the audit log does not show what the mode deny would deny", applyPolicy), trusted, denies,
		}},
		{"a binding for other namespaces that only warns", damaged(func(s *Snapshot) {
			spec := &s.DenyPolicy.Value.bindings[0].Spec
			spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
			spec.MatchResources.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"checked": "yes"}}
		}), []Check{
			problem(binding, `differs from deploy/hybrid/policy.yaml in validationActions (["Warn"] instead of ["Deny"]), matchResources`, applyPolicy), trusted, denies,
		}},
		{"the webhook that denied before", webhookLeft, []Check{
			registered, problem(denyingObject, "is left of the form without a policy: pods are refused while no replica answers", removeHook), denies,
		}[1:]},
		{"the webhook that denied before, and no policy yet", func(t *testing.T, s *Snapshot, current issued) {
			webhookLeft(t, s, current)
			s.DenyPolicy.Value = denyPolicy{}
		}, []Check{
			problem(policyObject, "does not exist: nothing denies", applyPolicy),
			problem(denyingObject, "is left of the form without a policy: pods are refused while no replica answers", applyPolicy+" && "+removeHook), denies,
		}},
		{"the policy that denied before", func(_ *testing.T, s *Snapshot, _ issued) { policyLeft(s) }, []Check{
			problem(policyObject, "is left of the hybrid form: it denies by the policy file from which it was made", removePolicy),
		}},
		{"the policy that denied before, and a webhook that does not deny yet", func(_ *testing.T, s *Snapshot, _ issued) {
			policyLeft(s)
			*s.Configurations.Value[0].hooks[0].FailurePolicy = "Ignore"
		}, []Check{
			problem(policyObject, "is left of the hybrid form: it denies by the policy file from which it was made",
				apply05+" && kubectl wait --for=condition=complete job -l job=patch-webhookconfigure -n image-webhook --timeout=6m && "+removePolicy),
			{"failure-policy", Problem, denyingObject, "validating.image-webhook.dev is on Ignore: disallowed images are admitted while no replica answers; it was never set to Fail", run06},
		}},
		{"neither", func(_ *testing.T, s *Snapshot, _ issued) { s.Configurations.Value = s.Configurations.Value[1:] }, []Check{
			problem(denyingObject, "does not exist: the API server does not call webhook validating.image-webhook.dev", apply05), trusted,
		}},
		{"policies that cannot be read", func(_ *testing.T, s *Snapshot, _ issued) { s.DenyPolicy.Err = errors.New("no rights") }, []Check{
			{Name: "registration", Result: Unknown, Object: "validating admission policies", Message: "not checked: no rights"},
		}},
		{"a policy of an older policy file", damaged(func(s *Snapshot) {
			s.DenyPolicy.Value.policy.Annotations = map[string]string{"image-webhook.dev/policy-version": "0123456789ab"}
		}), []Check{
			{"policy", Problem, policyObject, "denies by version 0123456789ab of the policy file, the ConfigMap has version " + manifestVersion(t), applyPolicy},
			registered, trusted, denies,
		}},
		{"a webhook on Fail", damaged(func(s *Snapshot) { *s.Configurations.Value[1].hooks[0].FailurePolicy = "Fail" }), []Check{
			registered, trusted, {"failure-policy", Problem, mutatingObject, "mutating.image-webhook.dev is on Fail instead of Ignore: requests are rejected while no replica answers",
				strings.ReplaceAll(strings.ReplaceAll(apply05, "deploy/05", "deploy/hybrid/05"), "deploy/06", "deploy/hybrid/06")},
		}},
		{"users who may delete the policy", damaged(func(s *Snapshot) {
			s.Roles.Value = []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "deleter"}, Rules: []rbacv1.PolicyRule{
				{Verbs: []string{"delete"}, APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingadmissionpolicies"}},
			}}}
			s.Bindings.Value = []rbacv1.ClusterRoleBinding{{RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "deleter"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "alice"}}}}
		}), []Check{registered, trusted, denies,
			{Name: "access", Result: Info, Object: "clusterrole/deleter", Message: "user alice may delete the policy"}}},
	})
}

func TestScopeFollowsTheVariantsOfTheHybridForm(t *testing.T) {
	off, deny, warn := Scope{modeOff, false}, Scope{modeDeny, true}, Scope{modeWarn, true}
	for component, unlabeled := range map[string]Scope{"": deny, deploy.WarnByDefault: warn, deploy.OptIn: off, deploy.MirrorOptOut: deny} {
		documents := hybridDocuments()
		if component != "" {
			documents = withPatches(documents, deploy.Patches(component))
		}
		var i Installed
		if err := errors.Join(i.addSelectors(configurationsOf(documents, "hooks")), i.addBindings(denyPolicyOf(documents, "hooks"))); err != nil {
			t.Fatal(err)
		}
		for mode, want := range map[string]Scope{"": unlabeled, "deny": deny, "warn": warn, "off": off, "typo": deny} {
			labels := map[string]string{}
			if mode != "" {
				labels[modeLabel] = mode
			}
			if got := i.Scope("shop", labels); got != want {
				t.Errorf("component %q, mode %q: got %v, want %v", component, mode, got, want)
			}
			for _, namespace := range []string{"kube-system", "hooks"} {
				if got, want := i.Scope(namespace, labels), (Scope{ModeExcluded, false}); got != want {
					t.Errorf("component %q, namespace %s: got %v, want %v", component, namespace, got, want)
				}
			}
		}
	}
}

func TestReadInstalledInTheHybridForm(t *testing.T) {
	const api = "/apis/admissionregistration.k8s.io/v1/"
	objects := map[string]any{}
	var validating admissionregistrationv1.ValidatingWebhookConfigurationList
	var mutating admissionregistrationv1.MutatingWebhookConfigurationList
	for _, d := range hybridDocuments() {
		switch d.Kind {
		case "ValidatingWebhookConfiguration":
			validating.Items = append(validating.Items, decode[admissionregistrationv1.ValidatingWebhookConfiguration](d))
		case "MutatingWebhookConfiguration":
			mutating.Items = append(mutating.Items, decode[admissionregistrationv1.MutatingWebhookConfiguration](d))
		}
	}
	policy := denyPolicyOf(hybridDocuments(), DefaultNamespace)
	objects[api+"validatingwebhookconfigurations"], objects[api+"mutatingwebhookconfigurations"] = validating, mutating
	objects[api+"validatingadmissionpolicies/image-webhook"] = policy.policy
	objects[api+"validatingadmissionpolicybindings"] = admissionregistrationv1.ValidatingAdmissionPolicyBindingList{Items: policy.bindings}
	for _, tt := range []struct {
		name    string
		without string // an object that the user must not read
		assumed string
	}{
		{"readable", "", ""},
		{"without the right to read policies", "validatingadmissionpolicies/image-webhook", "the validating admission policies cannot be read"},
		{"without the right to read bindings", "validatingadmissionpolicybindings", "the validating admission policies cannot be read"},
	} {
		allowed := maps.Clone(objects)
		delete(allowed, api+tt.without)
		i, err := ReadInstalled(t.Context(), &rest.Config{Host: serveAPI(t, answers(allowed, http.StatusForbidden))})
		if err != nil || i.Assumed != tt.assumed {
			t.Errorf("%s: error %v, assumed %q, want %q", tt.name, err, i.Assumed, tt.assumed)
			continue
		}
		for mode, want := range map[string]Scope{"deny": {modeDeny, true}, "warn": {modeWarn, true}, "off": {modeOff, false}} {
			if got := i.Scope("shop", map[string]string{modeLabel: mode}); got != want {
				t.Errorf("%s: mode %s: got %v, want %v", tt.name, mode, got, want)
			}
		}
	}
}
