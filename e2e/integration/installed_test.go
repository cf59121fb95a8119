package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the Jobs leave behind: a CA everywhere, and Fail on the one webhook that
// refuses.
func TestInstalled(t *testing.T) {
	t.Parallel()
	p := standard(t)
	type hook struct {
		Policy string
		CA     bool
	}
	want := map[string]hook{
		"validating.image-webhook.dev":   {"Fail", true},
		"workloads.image-webhook.dev":    {"Ignore", true},
		"warn.image-webhook.dev":         {"Ignore", true},
		"unknown-mode.image-webhook.dev": {"Ignore", true},
		"mutating.image-webhook.dev":     {"Ignore", true},
	}
	got := map[string]hook{}
	validating, mutating := p.configurations(t)
	for _, c := range validating {
		for _, w := range c.Webhooks {
			got[w.Name] = hook{string(*w.FailurePolicy), len(w.ClientConfig.CABundle) > 0}
		}
	}
	for _, c := range mutating {
		for _, w := range c.Webhooks {
			got[w.Name] = hook{string(*w.FailurePolicy), len(w.ClientConfig.CABundle) > 0}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the configurations (-want +got):\n%s", diff)
	}
}

// configurations are those of the installed webhook.
func (p *plane) configurations(t *testing.T) ([]admissionregistrationv1.ValidatingWebhookConfiguration, []admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	ours := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=image-webhook"}
	validating, err := p.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := p.client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	return validating.Items, mutating.Items
}
