package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
	ours := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=image-webhook"}
	got := map[string]hook{}
	validating, err := p.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range validating.Items {
		for _, w := range found.Webhooks {
			got[w.Name] = hook{string(*w.FailurePolicy), len(w.ClientConfig.CABundle) > 0}
		}
	}
	mutating, err := p.client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range mutating.Items {
		for _, w := range found.Webhooks {
			got[w.Name] = hook{string(*w.FailurePolicy), len(w.ClientConfig.CABundle) > 0}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the configurations (-want +got):\n%s", diff)
	}
}
