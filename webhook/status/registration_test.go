package status

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/certgen"
)

const (
	denyingObject  = "validatingwebhookconfiguration/image-webhook"
	warningsObject = "validatingwebhookconfiguration/image-webhook-warnings"
	mutatingObject = "mutatingwebhookconfiguration/image-webhook"
	replace05      = "kubectl replace -f deploy/05-webhookconfigure.yaml && " + run06
)

// change changes a webhook, by the positions of its configuration and of itself.
func change(configuration, position int, set func(*hook)) func(*testing.T, *Snapshot, issued) {
	return func(_ *testing.T, s *Snapshot, _ issued) { set(&s.Configurations.Value[configuration].hooks[position]) }
}

// A new field of Kubernetes must be copied by fromValidating, and compared.
func TestEveryFieldIsCompared(t *testing.T) {
	known := map[string]bool{"Name": true, "FailurePolicy": true} // they have other checks
	for _, field := range fields {
		name, _, _ := strings.Cut(field.name, ".")
		known[strings.ToUpper(name[:1])+name[1:]] = true
	}
	for _, webhook := range []reflect.Type{reflect.TypeFor[admissionregistrationv1.MutatingWebhook](), reflect.TypeFor[admissionregistrationv1.ValidatingWebhook]()} {
		for field := range webhook.Fields() {
			if !known[field.Name] {
				t.Errorf("%s.%s is not compared", webhook, field.Name)
			}
		}
	}
}

func TestWhiteSpaceOfExpressionsIsNotCompared(t *testing.T) {
	load := func(expression string) configuration {
		return fromMutating(admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{
			{MatchConditions: []admissionregistrationv1.MatchCondition{{Expression: expression}}},
		}})
	}
	if differences, _ := compareHook(load("a ||\n  b\n").hooks[0], load("a || b").hooks[0]); len(differences) > 0 {
		t.Errorf("differences: %v", differences)
	}
}

// withComponents registers the webhooks as in 05 with components, and adds namespaces without a mode.
func withComponents(components ...string) func(*testing.T, *Snapshot, issued) {
	return func(t *testing.T, s *Snapshot, current issued) {
		all := variants(DefaultNamespace)
		i := slices.IndexFunc(all, func(v variant) bool { return slices.Equal(v.components, components) })
		if i < 0 {
			t.Fatalf("no variant has the components %v", components)
		}
		s.Configurations.Value = patched(all[i].configurations, current.CA)
		for _, name := range []string{"wiki", "blog"} {
			s.Namespaces.Value = append(s.Namespaces.Value, labeled(name, ""))
		}
	}
}

func TestRegistration(t *testing.T) {
	differs := func(fix, object, message string) []Check {
		return []Check{{"registration", Problem, object, message, fix}}
	}
	const validating = "webhook validating.image-webhook.dev differs from deploy/05-webhookconfigure.yaml in "
	checkScenarios(t, []scenario{
		{"a configuration is missing", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value = append(s.Configurations.Value[:1:1], s.Configurations.Value[2])
		}, []Check{
			{"registration", Problem, warningsObject, "does not exist: the API server does not call webhooks warn.image-webhook.dev, workloads.image-webhook.dev and unknown-mode.image-webhook.dev", apply05},
			{Name: "ca-bundle", Result: OK, Message: "2 webhooks trust the certificates of 2 replicas and of the Secret"},
		}},
		{"a webhook is missing", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value[1].hooks = s.Configurations.Value[1].hooks[:2]
		}, []Check{
			{"registration", Problem, warningsObject, "webhook unknown-mode.image-webhook.dev is missing", apply05},
			{Name: "ca-bundle", Result: OK, Message: "4 webhooks trust the certificates of 2 replicas and of the Secret"},
		}},
		{"an additional webhook", func(_ *testing.T, s *Snapshot, _ issued) {
			added := s.Configurations.Value[2].hooks[0]
			added.Name = "more.example.com"
			s.Configurations.Value[2].hooks = append(s.Configurations.Value[2].hooks, added)
		}, []Check{
			{"registration", Problem, mutatingObject, "webhook more.example.com is not in deploy/05-webhookconfigure.yaml", replace05},
			{Name: "ca-bundle", Result: OK, Message: "6 webhooks trust the certificates of 2 replicas and of the Secret"},
		}},
		{"rules", change(0, 0, func(h *hook) { h.Rules[0].Operations = []admissionregistrationv1.OperationType{"CREATE"} }),
			differs(apply05, denyingObject, validating+"rules")},
		{"the timeout", change(0, 0, func(h *hook) { h.TimeoutSeconds = new(int32(30)) }),
			differs(apply05, denyingObject, validating+"timeoutSeconds (30 instead of 5)")},
		{"the selector of namespaces", change(0, 0, func(h *hook) {
			h.NamespaceSelector.MatchExpressions = append(h.NamespaceSelector.MatchExpressions, metav1.LabelSelectorRequirement{Key: "checked", Operator: "Exists"})
		}), differs(apply05, denyingObject, validating+"namespaceSelector")},
		{"the selector of objects", change(0, 0, func(h *hook) { h.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}} }),
			differs(replace05, denyingObject, validating+`objectSelector ({"matchLabels":{"a":"b"}} instead of {})`)},
		{"a condition", change(2, 0, func(h *hook) { h.MatchConditions = h.MatchConditions[:1] }),
			differs(replace05, mutatingObject, "webhook mutating.image-webhook.dev differs from deploy/05-webhookconfigure.yaml in matchConditions")},
		{"the path", change(0, 0, func(h *hook) { h.ClientConfig.Service.Path = new("/other") }),
			differs(apply05, denyingObject, validating+`clientConfig.service.path ("/other" instead of "/validating")`)},
		{"another Service", change(2, 0, func(h *hook) { h.ClientConfig.Service.Name = "other" }), []Check{
			{"registration", Problem, mutatingObject, `webhook mutating.image-webhook.dev differs from deploy/05-webhookconfigure.yaml in clientConfig.service.name ("other" instead of "webhook")`, apply05},
			{Name: "ca-bundle", Result: OK, Message: "4 webhooks trust the certificates of 2 replicas and of the Secret"},
		}},
		{"a URL", change(2, 0, func(h *hook) {
			h.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: new("https://other.example")}
		}), []Check{
			{"registration", Problem, mutatingObject, `webhook mutating.image-webhook.dev differs from deploy/05-webhookconfigure.yaml in ` +
				`clientConfig.url ("https://other.example" instead of null), clientConfig.service.namespace ("" instead of "image-webhook"), ` +
				`clientConfig.service.name ("" instead of "webhook"), clientConfig.service.path (null instead of "/mutating"), clientConfig.service.port (null instead of 443)`, replace05},
			{Name: "ca-bundle", Result: OK, Message: "4 webhooks trust the certificates of 2 replicas and of the Secret"},
		}},
		{"the component warn-by-default", withComponents(deploy.WarnByDefault), []Check{
			{Name: "registration", Result: OK, Message: "the webhooks are registered as in deploy/05-webhookconfigure.yaml with the component warn-by-default"},
			{Name: "ca-bundle", Result: OK, Message: "6 webhooks trust the certificates of 2 replicas and of the Secret"},
			{Name: "modes", Result: Info, Message: "without a mode, no pod is denied: blog, wiki"},
		}},
		{"the component opt-in", withComponents(deploy.OptIn), []Check{
			{Name: "registration", Result: OK, Message: "the webhooks are registered as in deploy/05-webhookconfigure.yaml with the component opt-in"},
			{Name: "modes", Result: Info, Message: "without a mode, no webhook is called: blog, wiki"},
		}},
		{"the component mirror-opt-out", withComponents(deploy.MirrorOptOut), []Check{
			{Name: "registration", Result: OK, Message: "the webhooks are registered as in deploy/05-webhookconfigure.yaml with the component mirror-opt-out"},
		}},
		{"two components", withComponents(deploy.OptIn, deploy.MirrorOptOut), []Check{
			{Name: "registration", Result: OK, Message: "the webhooks are registered as in deploy/05-webhookconfigure.yaml with the components opt-in and mirror-opt-out"},
			{Name: "modes", Result: Info, Message: "without a mode, no webhook is called: blog, wiki"},
		}},
		{"a component and a change", func(t *testing.T, s *Snapshot, current issued) {
			withComponents(deploy.OptIn)(t, s, current)
			change(0, 0, func(h *hook) { h.TimeoutSeconds = new(int32(30)) })(t, s, current)
		}, append(differs(apply05, denyingObject, validating+"timeoutSeconds (30 instead of 5)"),
			Check{Name: "modes", Result: Info, Message: "without a mode, no webhook is called: blog, wiki"})},
		{"owners of namespaces", func(_ *testing.T, s *Snapshot, current issued) {
			s.Configurations.Value = append(s.Configurations.Value, patched(manifests(DefaultNamespace).owner, current.CA)...)
		}, []Check{{Name: "ca-bundle", Result: OK, Message: "7 webhooks trust the certificates of 2 replicas and of the Secret"}}},
		{"owners of namespaces with a changed webhook", func(_ *testing.T, s *Snapshot, current issued) {
			owner := patched(manifests(DefaultNamespace).owner, current.CA)
			owner[0].hooks = owner[0].hooks[:1]
			s.Configurations.Value = append(s.Configurations.Value, owner...)
		}, []Check{
			{"registration", Problem, "mutatingwebhookconfiguration/image-webhook-namespace-owner", "webhook chosen-owner.image-webhook.dev is missing",
				"kubectl apply -f deploy/namespace-owner/05-webhookconfigure.yaml && kubectl replace --force -f deploy/namespace-owner/06-patch-webhookconfigure.yaml"},
			{Name: "ca-bundle", Result: OK, Message: "6 webhooks trust the certificates of 2 replicas and of the Secret"},
		}},
	})
}

func TestFailurePolicy(t *testing.T) {
	const ignored = "validating.image-webhook.dev is on Ignore: disallowed images are admitted while no replica answers; "
	policy := func(policy admissionregistrationv1.FailurePolicyType, annotation string) func(*testing.T, *Snapshot, issued) {
		return func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value[0].hooks[0].FailurePolicy = &policy
			s.Configurations.Value[0].annotations = map[string]string{certgen.PolicyAnnotation: annotation}
		}
	}
	checkScenarios(t, []scenario{
		{"never set", policy("Ignore", ""), []Check{{"failure-policy", Problem, denyingObject, ignored + "it was never set to Fail", run06}}},
		{"reset", policy("Ignore", "Fail"), []Check{{"failure-policy", Problem, denyingObject, ignored + "it was on Fail before", runRenew}}},
		{"intended", policy("Ignore", "Ignore"), []Check{{"failure-policy", Warning, denyingObject, ignored + "the annotation image-webhook.dev/failure-policy says that this is intended", run06}}},
		{"Fail as recorded", policy("Fail", "Fail"), nil},
		{"Fail, but Ignore is recorded", policy("Fail", "Ignore"), []Check{{"failure-policy", Warning, denyingObject,
			"validating.image-webhook.dev is on Fail, although the annotation image-webhook.dev/failure-policy says Ignore", run06}}},
		{"another webhook", change(2, 0, func(h *hook) { *h.FailurePolicy = "Fail" }), []Check{{"failure-policy", Problem, mutatingObject,
			"mutating.image-webhook.dev is on Fail instead of Ignore: requests are rejected while no replica answers", apply05}}},
		{"a webhook of a foreign configuration", func(_ *testing.T, s *Snapshot, current issued) {
			foreign := patched(manifests(DefaultNamespace).configurations[2:], current.CA)
			foreign[0].name, *foreign[0].hooks[0].FailurePolicy = "copy", "Fail"
			s.Configurations.Value = append(s.Configurations.Value, foreign...)
		}, []Check{
			{Name: "ca-bundle", Result: OK, Message: "6 webhooks trust the certificates of 2 replicas and of the Secret"},
			{"failure-policy", Problem, "mutatingwebhookconfiguration/copy", "mutating.image-webhook.dev is on Fail instead of Ignore: requests are rejected while no replica answers",
				"kubectl edit mutatingwebhookconfiguration/copy"},
		}},
	})
}
