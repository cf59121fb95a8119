package audit

import (
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// A kind of which the API server tells the webhook would otherwise be missing in an audit.
func TestKindsAreThoseOfTheManifests(t *testing.T) {
	audited := map[string]bool{}
	for _, k := range kinds {
		if !podimages.HasPodSpec(k.Kind) {
			t.Errorf("%s has no pod spec", k.resource)
		}
		audited[k.resource] = true
	}
	found := 0
	for _, file := range deploy.Files() {
		documents, err := deploy.Documents(file.Content)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range documents {
			var c admissionregistrationv1.ValidatingWebhookConfiguration
			if err := yaml.Unmarshal(text, &c); err != nil || c.Kind != "ValidatingWebhookConfiguration" {
				continue
			}
			for _, hook := range c.Webhooks {
				for _, rule := range hook.Rules {
					for _, resource := range rule.Resources {
						found++
						if known := []string{"namespaces", "podtemplates", "pods/ephemeralcontainers"}; !audited[resource] && !slices.Contains(known, resource) {
							t.Errorf("%s is not audited", resource)
						}
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("found no resources")
	}
}
