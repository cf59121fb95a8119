package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/certgen"
)

const (
	denying     = "validating.image-webhook.dev"
	warning     = "warn.image-webhook.dev"
	workloads   = "workloads.image-webhook.dev"
	unknownMode = "unknown-mode.image-webhook.dev"
	mutating    = "mutating.image-webhook.dev"

	modeLabel = "image-webhook.dev/mode"
)

// excludedNamespaces are the namespaces for which no webhook may be called.
var excludedNamespaces = []string{"kube-system", "kube-node-lease", namespace}

// hook is a validating or mutating webhook and the key of its configuration.
type hook struct {
	admissionregistrationv1.ValidatingWebhook
	configuration string
}

func hooks(o object) (found []hook) {
	switch typed := o.typed.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for _, w := range typed.Webhooks {
			found = append(found, hook{w, o.key()})
		}
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for _, w := range typed.Webhooks {
			found = append(found, hook{asValidating(w), o.key()})
		}
	}
	return found
}

// asValidating returns the fields that mutating and validating webhooks share.
func asValidating(w admissionregistrationv1.MutatingWebhook) admissionregistrationv1.ValidatingWebhook {
	return admissionregistrationv1.ValidatingWebhook{
		Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy,
		MatchPolicy: w.MatchPolicy, NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector,
		SideEffects: w.SideEffects, TimeoutSeconds: w.TimeoutSeconds,
		AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions,
	}
}

func allHooks(t *testing.T) (found []hook) {
	t.Helper()
	return hooksOf(load(t))
}

func hooksOf(objects []object) (found []hook) {
	for _, o := range objects {
		found = append(found, hooks(o)...)
	}
	return found
}

// registration describes when the API server calls a webhook.
type registration struct {
	Configuration, Name, Path, Namespaces string
	Rules, Conditions                     []string
}

func describe(t *testing.T, h hook) registration {
	t.Helper()
	r := registration{
		Configuration: h.configuration, Name: h.Name, Path: *h.ClientConfig.Service.Path,
		Namespaces: parse(t, h.NamespaceSelector).String(),
	}
	for _, rule := range h.Rules {
		r.Rules = append(r.Rules, describeRule(rule))
	}
	for _, condition := range h.MatchConditions {
		r.Conditions = append(r.Conditions, condition.Name)
	}
	return r
}

func describeRule(rule admissionregistrationv1.RuleWithOperations) string {
	var versions []string
	for _, group := range rule.APIGroups {
		for _, version := range rule.APIVersions {
			versions = append(versions, schema.GroupVersion{Group: group, Version: version}.String())
		}
	}
	return fmt.Sprintf("%v %v %v %v", rule.Operations, versions, rule.Resources, *rule.Scope)
}

func TestWebhooksAreRegisteredForTheseRequests(t *testing.T) {
	const (
		validatingConfiguration = "ValidatingWebhookConfiguration /image-webhook"
		warningsConfiguration   = "ValidatingWebhookConfiguration /image-webhook-warnings"
		mutatingConfiguration   = "MutatingWebhookConfiguration /image-webhook"

		otherNamespaces = "kubernetes.io/metadata.name notin (image-webhook,kube-node-lease,kube-system)"

		ephemeral = "[UPDATE] [v1] [pods/ephemeralcontainers] Namespaced"
		apps      = "[CREATE UPDATE] [apps/v1] [deployments statefulsets daemonsets replicasets] Namespaced"
		batch     = "[CREATE UPDATE] [batch/v1] [jobs cronjobs] Namespaced"
	)
	pods := []string{"[CREATE UPDATE] [v1] [pods] Namespaced", ephemeral}
	want := []registration{
		{
			validatingConfiguration, denying, "/validating", "image-webhook.dev/mode notin (off,warn)," + otherNamespaces,
			pods, []string{"images-are-new", "not-a-static-pod"},
		}, {
			warningsConfiguration, warning, "/validating/warn", "image-webhook.dev/mode in (warn)," + otherNamespaces,
			[]string{"[CREATE UPDATE] [v1] [pods replicationcontrollers podtemplates] Namespaced", ephemeral, apps, batch},
			[]string{"spec-changed", "pod-or-no-controller", "not-a-static-pod"},
		}, {
			warningsConfiguration, workloads, "/validating", "image-webhook.dev/mode notin (off,warn)," + otherNamespaces,
			[]string{"[CREATE UPDATE] [v1] [replicationcontrollers podtemplates] Namespaced", apps, batch},
			[]string{"spec-changed", "no-controller"},
		}, {
			warningsConfiguration, unknownMode, "/validating/unknown-mode",
			"image-webhook.dev/mode,image-webhook.dev/mode notin (deny,off,warn)," + otherNamespaces,
			[]string{"[CREATE] [v1] [pods] Namespaced", "[CREATE UPDATE] [v1] [namespaces] Cluster"}, nil,
		}, {
			mutatingConfiguration, mutating, "/mutating", "image-webhook.dev/mode notin (off)," + otherNamespaces,
			pods, []string{"images-are-new", "not-a-static-pod", "not-cloudnative-pg"},
		},
	}
	var got []registration
	for _, h := range allHooks(t) {
		got = append(got, describe(t, h))
		if h.ObjectSelector != nil {
			t.Errorf("%s: has an objectSelector: users could bypass the webhook with a label on the object", h.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// request contains the fields of a request that the rules match.
type request struct {
	operation admissionregistrationv1.OperationType
	version   schema.GroupVersion
	resource  string
	scope     admissionregistrationv1.ScopeType
}

func (r request) matches(rule admissionregistrationv1.RuleWithOperations) bool {
	return slices.Contains(rule.Operations, r.operation) && slices.Contains(rule.APIGroups, r.version.Group) &&
		slices.Contains(rule.APIVersions, r.version.Version) && slices.Contains(rule.Resources, r.resource) &&
		*rule.Scope == r.scope
}

// createsAndUpdates returns a create and an update request for each resource.
func createsAndUpdates(version schema.GroupVersion, resources ...string) (requests []request) {
	for _, resource := range resources {
		for _, operation := range []admissionregistrationv1.OperationType{"CREATE", "UPDATE"} {
			requests = append(requests, request{operation, version, resource, admissionregistrationv1.NamespacedScope})
		}
	}
	return requests
}

// newPod, changedPod, workload and namespaceWrite are kinds of requests for which different
// webhooks are called.
const (
	newPod         = "new pod"
	changedPod     = "changed pod"
	workload       = "workload"
	namespaceWrite = "namespace"
)

func requestsOfKind() map[string][]request {
	v1 := schema.GroupVersion{Version: "v1"}
	return map[string][]request{
		newPod: {{"CREATE", v1, "pods", "Namespaced"}},
		changedPod: {
			{"UPDATE", v1, "pods", "Namespaced"},
			{"UPDATE", v1, "pods/ephemeralcontainers", "Namespaced"},
		},
		workload: slices.Concat(
			createsAndUpdates(v1, "replicationcontrollers", "podtemplates"),
			createsAndUpdates(schema.GroupVersion{Group: "apps", Version: "v1"}, "deployments", "statefulsets", "daemonsets", "replicasets"),
			createsAndUpdates(schema.GroupVersion{Group: "batch", Version: "v1"}, "jobs", "cronjobs"),
		),
		namespaceWrite: {
			{"CREATE", v1, "namespaces", "Cluster"},
			{"UPDATE", v1, "namespaces", "Cluster"},
		},
	}
}

// mode is the mode of a namespace with labels.
type mode struct {
	name   string
	labels labels.Set
	called map[string][]string // kind of request -> webhooks that are called
}

func modes() []mode {
	deny := map[string][]string{newPod: {denying, mutating}, changedPod: {denying, mutating}, workload: {workloads}}
	warn := map[string][]string{newPod: {warning, mutating}, changedPod: {warning, mutating}, workload: {warning}}
	modes := []mode{
		{"no label", labels.Set{}, deny},
		{"deny", labels.Set{modeLabel: "deny"}, deny},
		{"warn", labels.Set{modeLabel: "warn"}, warn},
		{"off", labels.Set{modeLabel: "off"}, map[string][]string{}},
	}
	unknown := map[string][]string{
		newPod: {denying, unknownMode, mutating}, changedPod: {denying, mutating},
		workload: {workloads}, namespaceWrite: {unknownMode},
	}
	for _, value := range []string{"", "Off", "WARN", "denied", "false"} {
		modes = append(modes, mode{fmt.Sprintf("unknown value %q", value), labels.Set{modeLabel: value}, unknown})
	}
	return modes
}

func TestModeSelectsTheWebhooks(t *testing.T) { checkModes(t, allHooks(t), modes()) }

func checkModes(t *testing.T, hooks []hook, modes []mode) {
	t.Helper()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			namespaceLabels := labels.Merge(mode.labels, labels.Set{corev1.LabelMetadataName: "default"})
			for kind, requests := range requestsOfKind() {
				for _, r := range requests {
					if diff := cmp.Diff(mode.called[kind], webhooksFor(t, hooks, namespaceLabels, r)); diff != "" {
						t.Errorf("webhooks called for %s (%s %s) (-want +got):\n%s", kind, r.operation, r.resource, diff)
					}
				}
			}
		})
	}
}

// webhooksFor returns the webhooks whose selector and rules match a request. For a request
// about a Namespace, namespaceLabels are its labels.
func webhooksFor(t *testing.T, hooks []hook, namespaceLabels labels.Set, r request) (names []string) {
	t.Helper()
	for _, h := range hooks {
		if parse(t, h.NamespaceSelector).Matches(namespaceLabels) && slices.ContainsFunc(h.Rules, r.matches) {
			names = append(names, h.Name)
		}
	}
	return names
}

func TestNamespacesAreExcludedInEveryMode(t *testing.T) { checkExcluded(t, allHooks(t)) }

func checkExcluded(t *testing.T, hooks []hook) {
	t.Helper()
	for _, h := range hooks {
		for _, name := range excludedNamespaces {
			for _, mode := range modes() {
				namespaceLabels := labels.Merge(mode.labels, labels.Set{corev1.LabelMetadataName: name})
				if parse(t, h.NamespaceSelector).Matches(namespaceLabels) {
					t.Errorf("%s is called in namespace %s, mode %s", h.Name, name, mode.name)
				}
			}
		}
	}
}

func TestConditionsWithTheSameNameAreIdentical(t *testing.T) {
	// The manifest explains a condition only where its name first appears.
	expressions := map[string]string{}
	for _, h := range allHooks(t) {
		for _, condition := range h.MatchConditions {
			first, seen := expressions[condition.Name]
			if !seen {
				expressions[condition.Name] = condition.Expression
				continue
			}
			if diff := cmp.Diff(first, condition.Expression); diff != "" {
				t.Errorf("condition %s of %s differs from the first one with this name (-first +this):\n%s", condition.Name, h.Name, diff)
			}
		}
	}
}

func TestRegistrationsCannotBlockTheCluster(t *testing.T) {
	for _, h := range allHooks(t) {
		checkCannotBlock(t, h)
	}
	for _, file := range deploy.Files() {
		for line := range strings.Lines(file.Content) {
			if strings.HasPrefix(strings.TrimLeft(line, " -"), "caBundle:") {
				t.Errorf("%s: has a caBundle: applying the file again would replace the one that 06 set", file.Name)
			}
		}
	}
}

func checkCannotBlock(t *testing.T, h hook) {
	t.Helper()
	if h.FailurePolicy == nil || *h.FailurePolicy != admissionregistrationv1.Ignore {
		t.Errorf("%s: failurePolicy is not Ignore", h.Name)
	}
	if *h.SideEffects != admissionregistrationv1.SideEffectClassNone || *h.MatchPolicy != admissionregistrationv1.Equivalent || *h.TimeoutSeconds > 5 {
		t.Errorf("%s: sideEffects %s, matchPolicy %s, timeout %ds", h.Name, *h.SideEffects, *h.MatchPolicy, *h.TimeoutSeconds)
	}
	if diff := cmp.Diff([]string{"v1"}, h.AdmissionReviewVersions); diff != "" {
		t.Errorf("%s: review versions (-want +got):\n%s", h.Name, diff)
	}
}

func TestMutatingWebhooksAreReinvoked(t *testing.T) {
	for _, w := range objectOfType[*admissionregistrationv1.MutatingWebhookConfiguration](t, load(t)).Webhooks {
		if w.ReinvocationPolicy == nil || *w.ReinvocationPolicy != admissionregistrationv1.IfNeededReinvocationPolicy {
			t.Errorf("%s: reinvocationPolicy is not IfNeeded", w.Name)
		}
	}
}

// patched is a configuration in which a run of certgen sets the CA and, unless it is empty,
// the failure policy.
type patched struct {
	Configuration string
	FailurePolicy admissionregistrationv1.FailurePolicyType
}

func patches(t *testing.T) (found []patched) {
	t.Helper()
	for _, p := range argumentsOf[certgen.Patch](t, load(t)) {
		if p.Validating.Selected {
			found = append(found, patched{key("ValidatingWebhookConfiguration", "", p.WebhookName), p.Validating.FailurePolicy})
		}
		if p.Mutating.Selected {
			found = append(found, patched{key("MutatingWebhookConfiguration", "", p.WebhookName), p.Mutating.FailurePolicy})
		}
	}
	return found
}

func TestPatchesSetTheCAOfEveryConfigurationAndFailLast(t *testing.T) {
	want := []patched{
		{"MutatingWebhookConfiguration /image-webhook", ""},
		{"ValidatingWebhookConfiguration /image-webhook-warnings", ""},
		{"ValidatingWebhookConfiguration /image-webhook", admissionregistrationv1.Fail},
	}
	got := patches(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, h := range allHooks(t) {
		if !slices.ContainsFunc(got, func(p patched) bool { return p.Configuration == h.configuration }) {
			t.Errorf("%s gets no CA", h.Name)
		}
	}
}

func TestOnlyTheDenyingWebhookIsSetToFail(t *testing.T) {
	// certgen sets the same failure policy on all webhooks of a configuration.
	var failing []string
	for _, p := range patches(t) {
		for _, h := range allHooks(t) {
			if h.configuration == p.Configuration && p.FailurePolicy != "" {
				failing = append(failing, h.Name+" "+string(p.FailurePolicy))
			}
		}
	}
	if diff := cmp.Diff([]string{denying + " Fail"}, failing); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
