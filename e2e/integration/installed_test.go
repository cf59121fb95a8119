package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestInstallationSetsCAAndFailurePolicies(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	type webhook struct {
		Policy string
		CA     bool
	}
	want := map[string]webhook{
		"validating.image-webhook.dev":   {"Fail", true},
		"workloads.image-webhook.dev":    {"Ignore", true},
		"warn.image-webhook.dev":         {"Ignore", true},
		"unknown-mode.image-webhook.dev": {"Ignore", true},
		"mutating.image-webhook.dev":     {"Ignore", true},
	}
	got := map[string]webhook{}
	validating, mutating := server.configurations(t)
	for _, c := range validating {
		for _, w := range c.Webhooks {
			got[w.Name] = webhook{string(*w.FailurePolicy), len(w.ClientConfig.CABundle) > 0}
		}
	}
	for _, c := range mutating {
		for _, w := range c.Webhooks {
			got[w.Name] = webhook{string(*w.FailurePolicy), len(w.ClientConfig.CABundle) > 0}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("webhooks differ (-want +got):\n%s", diff)
	}
}

// configurations returns the installed configurations of our webhook.
func (s *testServer) configurations(t *testing.T) ([]admissionregistrationv1.ValidatingWebhookConfiguration, []admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	selector := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=image-webhook"}
	validating, err := s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), selector)
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := s.client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(t.Context(), selector)
	if err != nil {
		t.Fatal(err)
	}
	return validating.Items, mutating.Items
}
