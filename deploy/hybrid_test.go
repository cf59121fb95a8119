package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/certgen"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// denyingBinding and auditingBinding are what the bindings of the policy are in tables of webhooks.
const (
	denyingBinding  = "binding image-webhook"
	auditingBinding = "binding image-webhook-warn"
)

// renderedHybrid returns the objects of an overlay with the component, as YAML.
func renderedHybrid(t *testing.T) string {
	t.Helper()
	return kustomizeText(t, writeOverlay(t, componentsOverlay(deploy.Hybrid)))
}

func TestKustomizeRendersTheManifestsOfTheHybridForm(t *testing.T) {
	const head = "# Written by `go test ./deploy -update` from %s and the component in this directory, whose comments\n# explain it.\n"
	for name, belongs := range map[string]func(kind, name string) bool{
		"05-webhookconfigure.yaml":       func(kind, _ string) bool { return strings.HasSuffix(kind, "WebhookConfiguration") },
		"06-patch-webhookconfigure.yaml": func(kind, name string) bool { return kind == "Job" && name == "patch-webhookconfigure" },
	} {
		documents, err := deploy.Documents(renderedHybrid(t))
		if err != nil {
			t.Fatal(err)
		}
		var selected []string
		for _, document := range documents {
			if o := decode(t, name, document); belongs(o.kind, o.GetName()) {
				selected = append(selected, string(document))
			}
		}
		want := strings.Replace(head, "%s", name, 1) + strings.Join(selected, "---\n")
		file := filepath.Join(deploy.Hybrid, name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, readFile(t, file)); diff != "" {
			t.Errorf("run `go test ./deploy -update` (-kustomization +%s):\n%s", file, diff)
		}
	}
}

// oneSpaceInPolicies removes the empty lines that kustomize adds to expressions.
var oneSpaceInPolicies = cmp.Options{
	cmp.Transformer("oneSpaceVariable", func(v admissionregistrationv1.Variable) [2]string {
		return [2]string{v.Name, strings.Join(strings.Fields(v.Expression), " ")}
	}),
	cmp.Transformer("oneSpaceValidation", func(v admissionregistrationv1.Validation) [2]string {
		return [2]string{v.Expression, strings.Join(strings.Fields(v.MessageExpression), " ")}
	}),
}

// hybridObjects returns the objects of the manifests of the hybrid form.
func hybridObjects(t *testing.T) (objects []object) {
	t.Helper()
	for _, file := range deploy.HybridFiles() {
		objects = append(objects, loadFile(t, file)...)
	}
	return objects
}

func TestKustomizeHybridComponentAppliesTheManifestsOfTheHybridForm(t *testing.T) {
	byKey := func(objects []object) map[string]any {
		found := map[string]any{}
		for _, o := range objects {
			found[o.key()] = o.typed
		}
		return found
	}
	want, got := hybridObjects(t), loadFile(t, deploy.File{Content: renderedHybrid(t)})
	if diff := cmp.Diff(byKey(want), byKey(got), oneSpace, oneSpaceInPolicies); diff != "" {
		t.Errorf("(-files +component):\n%s", diff)
	}
}

func TestHybridPolicyDeniesBeforeTheRegistrationChanges(t *testing.T) {
	var names []string
	for _, step := range deploy.HybridSteps() {
		names = append(names, step.Name)
	}
	want := []string{"01-namespace.yaml", "02-rbac.yaml", "03-certgen.yaml", "04-webhook.yaml", "hybrid/policy.yaml",
		"hybrid/05-webhookconfigure.yaml", "hybrid/06-patch-webhookconfigure.yaml", "07-renew.yaml"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestLeftoversAreWhatOnlyTheOtherFormHas(t *testing.T) {
	inOther := func(objects, other []object) (only []string) {
		for _, o := range objects {
			if !slices.ContainsFunc(other, func(s object) bool { return s.key() == o.key() }) {
				only = append(only, strings.ToLower(o.kind)+"/"+o.GetName())
			}
		}
		slices.Sort(only)
		return only
	}
	for hybrid, want := range map[bool][]string{
		true:  inOther(load(t), hybridObjects(t)),
		false: inOther(hybridObjects(t), load(t)),
	} {
		args := deploy.Leftovers(hybrid)
		got := slices.Sorted(slices.Values(args[1 : len(args)-1]))
		if diff := cmp.Diff(want, got); diff != "" || args[0] != "delete" || args[len(args)-1] != "--ignore-not-found" {
			t.Errorf("hybrid form: %t: kubectl %v (-want +got):\n%s", hybrid, args, diff)
		}
	}
}

// asHooks returns the bindings of the policy like webhooks that are called for its requests.
func asHooks(t *testing.T, objects []object) (found []hook) {
	t.Helper()
	policy := objectOfType[*admissionregistrationv1.ValidatingAdmissionPolicy](t, objects)
	var rules []admissionregistrationv1.RuleWithOperations
	for _, rule := range policy.Spec.MatchConstraints.ResourceRules {
		rules = append(rules, rule.RuleWithOperations)
	}
	for _, binding := range objectsOfType[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](objects) {
		if binding.Spec.PolicyName != policy.Name || binding.Spec.MatchResources.ObjectSelector != nil || binding.Spec.ParamRef != nil {
			t.Errorf("%s: %+v", binding.Name, binding.Spec)
		}
		found = append(found, hook{admissionregistrationv1.ValidatingWebhook{
			Name: "binding " + binding.Name, Rules: rules, NamespaceSelector: binding.Spec.MatchResources.NamespaceSelector,
			MatchConditions: policy.Spec.MatchConditions,
		}, ""})
	}
	return found
}

// hybridModes returns what is called in the hybrid form.
func hybridModes() []mode {
	all := modes()
	for i, m := range all {
		called := map[string][]string{}
		for kind, names := range m.called {
			for _, name := range names {
				switch {
				case name == denying:
					name = denyingBinding
				case name == warning && kind != workload:
					name = auditingBinding
				}
				called[kind] = append(called[kind], name)
			}
			slices.Sort(called[kind])
		}
		all[i].called = called
	}
	return all
}

// hybridHooks returns the webhooks and the bindings, sorted by name.
func hybridHooks(t *testing.T, objects []object) []hook {
	t.Helper()
	found := slices.Concat(hooksOf(objects), asHooks(t, objects))
	slices.SortFunc(found, func(a, b hook) int { return strings.Compare(a.Name, b.Name) })
	return found
}

func TestKustomizeHybridComponentKeepsTheModes(t *testing.T) {
	byName := func(all []mode, name string) *mode {
		return &all[slices.IndexFunc(all, func(m mode) bool { return m.name == name })]
	}
	for _, tt := range []struct {
		components []string
		change     func(all []mode)
	}{
		{nil, func([]mode) {}},
		{[]string{deploy.MirrorOptOut, "gitops"}, func([]mode) {}},
		{[]string{deploy.OptIn}, func(all []mode) { byName(all, "no label").called = map[string][]string{} }},
		{[]string{deploy.WarnByDefault}, func(all []mode) {
			const byDefault = "warn-by-default.image-webhook.dev"
			byName(all, "no label").called = map[string][]string{
				newPod: {auditingBinding, mutating}, changedPod: {auditingBinding, mutating}, workload: {byDefault},
			}
			for i, m := range all {
				if strings.HasPrefix(m.name, "unknown") { // denied, and audited too
					all[i].called[newPod] = slices.Insert(m.called[newPod], 1, auditingBinding)
					all[i].called[changedPod] = slices.Insert(m.called[changedPod], 1, auditingBinding)
				}
			}
		}},
	} {
		t.Run(strings.Join(tt.components, "+"), func(t *testing.T) {
			objects := kustomizeOverlay(t, componentsOverlay(append([]string{deploy.Hybrid}, tt.components...)...))
			want, got := hybridModes(), hybridHooks(t, objects)
			tt.change(want)
			checkModes(t, got, want)
			checkExcluded(t, got)
			for _, h := range hooksOf(objects) {
				checkCannotBlock(t, h)
			}
		})
	}
}

func TestHybridPolicyAppliesToTheRequestsOfTheDenyingWebhook(t *testing.T) {
	all := allHooks(t)
	want := all[slices.IndexFunc(all, func(h hook) bool { return h.Name == denying })]
	for _, got := range asHooks(t, hybridObjects(t)) {
		if diff := cmp.Diff(want.Rules, got.Rules); diff != "" {
			t.Errorf("%s: rules (-webhook +policy):\n%s", got.Name, diff)
		}
		if diff := cmp.Diff(want.MatchConditions, got.MatchConditions, oneSpace); diff != "" {
			t.Errorf("%s: conditions (-webhook +policy):\n%s", got.Name, diff)
		}
	}
}

func TestHybridPolicyDeniesWithoutAServer(t *testing.T) {
	objects := hybridObjects(t)
	policy := objectOfType[*admissionregistrationv1.ValidatingAdmissionPolicy](t, objects)
	if policy.Spec.FailurePolicy == nil || *policy.Spec.FailurePolicy != admissionregistrationv1.Fail || policy.Spec.ParamKind != nil {
		t.Errorf("failurePolicy %v, paramKind %v", policy.Spec.FailurePolicy, policy.Spec.ParamKind)
	}
	for _, binding := range objectsOfType[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](objects) {
		want := map[string]admissionregistrationv1.ValidationAction{
			deploy.DenyingPolicy: admissionregistrationv1.Deny, deploy.WarningBinding: admissionregistrationv1.Audit,
		}[binding.Name]
		if diff := cmp.Diff([]admissionregistrationv1.ValidationAction{want}, binding.Spec.ValidationActions); diff != "" {
			t.Errorf("%s: validationActions (-want +got):\n%s", binding.Name, diff)
		}
	}
}

func TestHybridPolicyIsMadeFromThePolicyFile(t *testing.T) {
	objects := hybridObjects(t)
	text := policyTextOf(t, objects)
	rules, err := policy.Read("policy.yaml", []byte(text), policy.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	made := objectOfType[*admissionregistrationv1.ValidatingAdmissionPolicy](t, objects).Annotations["image-webhook.dev/policy-version"]
	if made != rules.Version {
		t.Errorf("the policy is made from version %q of the policy file, which has version %q", made, rules.Version)
	}
}

// When a cluster returns to the other form, certgen must get the verdict of the webhook. The API server
// evaluates policies first.
func TestHybridPolicyLetsTheProbeOfCertgenReachTheWebhook(t *testing.T) {
	objects := hybridObjects(t)
	for _, namespace := range objectsOfType[*corev1.Namespace](objects) {
		set := labels.Merge(namespace.Labels, labels.Set{corev1.LabelMetadataName: namespace.Name})
		for _, h := range asHooks(t, objects) {
			if parse(t, h.NamespaceSelector).Matches(set) {
				t.Errorf("%s applies to namespace %s", h.Name, namespace.Name)
			}
		}
	}
}

func TestHybridJobSetsTheCAOfEveryConfigurationAndNoPolicy(t *testing.T) {
	objects := hybridObjects(t)
	patched := map[string]bool{}
	for _, p := range argumentsOf[certgen.Patch](t, objects) {
		if p.Validating.FailurePolicy != "" || p.Mutating.FailurePolicy != "" {
			t.Errorf("%s: sets a failure policy", p.WebhookName)
		}
		patched[key("ValidatingWebhookConfiguration", "", p.WebhookName)] = p.Validating.Selected
		patched[key("MutatingWebhookConfiguration", "", p.WebhookName)] = p.Mutating.Selected || patched[key("MutatingWebhookConfiguration", "", p.WebhookName)]
	}
	for _, h := range hooksOf(objects) {
		if !patched[h.configuration] {
			t.Errorf("%s gets no CA", h.Name)
		}
	}
	if patched["ValidatingWebhookConfiguration /image-webhook"] {
		t.Error("the Job needs the configuration of the denying webhook, which does not exist")
	}
}
