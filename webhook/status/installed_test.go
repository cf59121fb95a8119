package status

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/deploy"
)

func TestScopeFollowsTheVariants(t *testing.T) {
	excluded, off := Scope{ModeExcluded, false}, Scope{modeOff, false}
	deny, warn := Scope{modeDeny, true}, Scope{modeWarn, true}
	for _, tt := range []struct {
		component string
		unlabeled Scope
	}{{"", deny}, {deploy.WarnByDefault, warn}, {deploy.OptIn, off}, {deploy.MirrorOptOut, deny}} {
		documents := webhookDocuments()
		if tt.component != "" {
			documents = withPatches(documents, deploy.Patches(tt.component))
		}
		var i Installed
		if err := i.addSelectors(configurationsOf(documents, "hooks")); err != nil {
			t.Fatal(err)
		}
		for mode, want := range map[string]Scope{"": tt.unlabeled, "deny": deny, "warn": warn, "off": off, "typo": deny} {
			labels := map[string]string{"team": "a"}
			if mode != "" {
				labels[modeLabel] = mode
			}
			if got := i.Scope("shop", labels); got != want {
				t.Errorf("component %q, mode %q: got %v, want %v", tt.component, mode, got, want)
			}
			for _, namespace := range []string{"kube-system", "hooks"} {
				if got := i.Scope(namespace, labels); got != excluded {
					t.Errorf("component %q, namespace %s with mode %q: got %v, want %v", tt.component, namespace, mode, got, excluded)
				}
			}
		}
	}
}

// answers returns a handler that answers with objects by their paths, and with 403 or 404 otherwise.
func answers(objects map[string]any, otherwise int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		object, ok := objects[r.URL.Path]
		if !ok {
			w.WriteHeader(otherwise)
			object = metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(otherwise), Message: "no answer",
				Reason: map[int]metav1.StatusReason{403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound}[otherwise]}
		}
		_ = json.NewEncoder(w).Encode(object)
	}
}

func TestPolicyOfInstallation(t *testing.T) {
	const (
		deployments = "/apis/apps/v1/namespaces/image-webhook/deployments/webhook"
		configMaps  = "/api/v1/namespaces/image-webhook/configmaps/image-policy"
		inNamespace = "deployment/webhook in namespace image-webhook"
	)
	deployment := func(args ...string) appsv1.Deployment {
		s, _ := healthy(t)
		setArgs(&s, args...)
		return *s.Deployment.Value
	}
	for _, tt := range []struct {
		name    string
		objects map[string]any
		source  string // or the error
		denied  string // an image
	}{
		{"a file", map[string]any{deployments: *manifestDeployment(), configMaps: *manifestPolicy()}, "configmap/image-policy in namespace image-webhook, version " + manifestVersion(t), "nginx"},
		{"flags", map[string]any{deployments: deployment("--disallowed-tags=dev")}, "flags of " + inNamespace, "nginx:dev"},
		{"invalid flags", map[string]any{deployments: deployment("--disallowed-tags=a b")}, `--disallowed-tags: `, ""},
		{"invalid flags with a file", map[string]any{deployments: deployment("--config=/policy/policy.yaml", "--exempt-images=:"), configMaps: *manifestPolicy()}, inNamespace + ": --exempt-images: ", ""},
		{"no Deployment", nil, inNamespace + ": no answer", ""},
		{"no ConfigMap", map[string]any{deployments: *manifestDeployment()}, "configmap/image-policy in namespace image-webhook: no answer", ""},
		{"no key", map[string]any{deployments: *manifestDeployment(), configMaps: corev1.ConfigMap{}}, "configmap/image-policy in namespace image-webhook: it has no key policy.yaml", ""},
		{"an invalid file", map[string]any{deployments: *manifestDeployment(), configMaps: corev1.ConfigMap{Data: map[string]string{"policy.yaml": "a: b"}}}, "configmap/image-policy in namespace image-webhook: policy.yaml:1", ""},
		{"a file elsewhere", map[string]any{deployments: deployment("--config=/tls/policy.yaml")}, inNamespace + ": its policy file /tls/policy.yaml is not in a ConfigMap", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := ReadInstalled(t.Context(), &rest.Config{Host: serveAPI(t, answers(tt.objects, http.StatusForbidden))})
			if err != nil || i.Assumed != "the webhook configurations cannot be read" {
				t.Fatalf("got %+v, %v", i, err)
			}
			rules, source, err := i.Policy(t.Context())
			if err != nil {
				source = err.Error()
			}
			if !strings.HasPrefix(source, tt.source) || (err == nil) != (tt.denied != "") {
				t.Fatalf("got source %q, %v; want %q", source, err, tt.source)
			}
			if err == nil && len(rules.Inspect(tt.denied).Violations) != 1 {
				t.Errorf("%s is allowed", tt.denied)
			}
		})
	}
}

func TestReadInstalled(t *testing.T) {
	const validating, mutating = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
	none := map[string]any{validating: admissionregistrationv1.ValidatingWebhookConfigurationList{}, mutating: admissionregistrationv1.MutatingWebhookConfigurationList{}}
	elsewhere := admissionregistrationv1.ValidatingWebhookConfigurationList{Items: []admissionregistrationv1.ValidatingWebhookConfiguration{{
		ObjectMeta: metav1.ObjectMeta{Name: "image-webhook"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:              "validating.image-webhook.dev",
			ClientConfig:      admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "hooks", Name: "webhook", Path: new("/validating")}},
			Rules:             []admissionregistrationv1.RuleWithOperations{{Rule: admissionregistrationv1.Rule{Resources: []string{"pods"}}}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}},
		}},
	}}}
	other := map[string]any{validating: elsewhere, mutating: admissionregistrationv1.MutatingWebhookConfigurationList{}}
	for _, tt := range []struct {
		name               string
		objects            map[string]any
		namespace, assumed string
		scope              Scope // of the namespace shop, with the label team=a
		err                string
	}{
		{"not installed", none, DefaultNamespace, "image-webhook is not installed", Scope{modeDeny, true}, ""},
		{"in another namespace, with another selector", other, "hooks", "", Scope{modeDeny, false}, ""},
		{"no answer", nil, "", "", Scope{}, "does not answer: no answer: run kubectl cluster-info"},
	} {
		i, err := ReadInstalled(t.Context(), &rest.Config{Host: serveAPI(t, answers(tt.objects, http.StatusNotFound))})
		if tt.err != "" {
			if err == nil || !strings.HasSuffix(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got := []any{i.Namespace, i.Assumed, i.Scope("shop", map[string]string{"team": "a"})}
		if diff := cmp.Diff([]any{tt.namespace, tt.assumed, tt.scope}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
