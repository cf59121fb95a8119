package status

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// configuration is a validating or mutating webhook configuration.
type configuration struct {
	kind        string // as kubectl names it
	name        string
	annotations map[string]string
	hooks       []hook
}

const (
	validatingKind = "validatingwebhookconfiguration"
	mutatingKind   = "mutatingwebhookconfiguration"
)

// hook is a webhook. A mutating webhook has all fields of a validating one.
type hook = admissionregistrationv1.MutatingWebhook

func (c configuration) object() string { return c.kind + "/" + c.name }

// resource returns the plural of the kind.
func (c configuration) resource() string {
	if stem, ok := strings.CutSuffix(c.kind, "y"); ok {
		return stem + "ies"
	}
	return c.kind + "s"
}

func fromValidating(v admissionregistrationv1.ValidatingWebhookConfiguration) configuration {
	c := configuration{kind: validatingKind, name: v.Name, annotations: v.Annotations}
	for _, w := range v.Webhooks {
		c.hooks = append(c.hooks, withDefaults(hook{
			Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy,
			MatchPolicy: w.MatchPolicy, NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector,
			SideEffects: w.SideEffects, TimeoutSeconds: w.TimeoutSeconds,
			AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions,
		}))
	}
	return c
}

func fromMutating(m admissionregistrationv1.MutatingWebhookConfiguration) configuration {
	c := configuration{kind: mutatingKind, name: m.Name, annotations: m.Annotations}
	for _, w := range m.Webhooks {
		c.hooks = append(c.hooks, withDefaults(w))
	}
	return c
}

// withDefaults sets the fields that the API server sets if a manifest does not have them. It also
// removes differences in the white space of expressions, which have no effect.
func withDefaults(h hook) hook {
	setDefault(&h.FailurePolicy, admissionregistrationv1.Fail)
	setDefault(&h.MatchPolicy, admissionregistrationv1.Equivalent)
	setDefault(&h.ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
	setDefault(&h.TimeoutSeconds, 10)
	setDefault(&h.NamespaceSelector, metav1.LabelSelector{})
	setDefault(&h.ObjectSelector, metav1.LabelSelector{})
	if h.ClientConfig.Service != nil {
		service := *h.ClientConfig.Service
		setDefault(&service.Port, 443)
		h.ClientConfig.Service = &service
	}
	h.MatchConditions = slices.Clone(h.MatchConditions)
	for i, m := range h.MatchConditions { // kustomize wraps lines again
		h.MatchConditions[i].Expression = strings.Join(strings.Fields(m.Expression), " ")
	}
	h.Rules = slices.Clone(h.Rules)
	for i := range h.Rules {
		setDefault(&h.Rules[i].Scope, admissionregistrationv1.AllScopes)
	}
	return h
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// calls reports whether the API server calls a Service for the webhook.
func calls(h hook, namespace, service string) bool {
	s := h.ClientConfig.Service
	return s != nil && s.Namespace == namespace && s.Name == service
}

// owns reports whether a configuration belongs to the installation: it has the name of one of
// its configurations, or calls its Service.
func (i installation) owns(c configuration) bool {
	named := func(want configuration) bool { return c.object() == want.object() }
	called := func(h hook) bool { return calls(h, i.service.Namespace, workload) }
	return slices.ContainsFunc(i.configurations, named) || slices.ContainsFunc(i.owner, named) || slices.ContainsFunc(c.hooks, called)
}

// find returns the configuration of an object.
func find(all []configuration, object string) (configuration, bool) {
	i := slices.IndexFunc(all, func(c configuration) bool { return c.object() == object })
	if i < 0 {
		return configuration{}, false
	}
	return all[i], true
}

// findHook returns the webhook with a name.
func (c configuration) findHook(name string) (hook, bool) {
	i := slices.IndexFunc(c.hooks, func(h hook) bool { return h.Name == name })
	if i < 0 {
		return hook{}, false
	}
	return c.hooks[i], true
}

// hookNames returns a text such as "webhooks a and b".
func hookNames(names []string) string {
	if len(names) == 1 {
		return "webhook " + names[0]
	}
	return "webhooks " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
