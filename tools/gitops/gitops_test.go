package gitops

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const manifests = `
apiVersion: v1
kind: Namespace
metadata: {name: image-webhook}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: image-webhook}
webhooks: [{name: mutating.image-webhook.dev, failurePolicy: Ignore}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: image-webhook, annotations: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}}
webhooks: [{name: new, failurePolicy: Ignore}, {name: validating.image-webhook.dev, failurePolicy: Ignore}]
`

func read(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := selectConfigurations(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// prepared returns what a tool applies if each object exists with the failure policy Fail: the
// names and failure policies of the webhooks.
func prepared(t *testing.T, tool Tool) (applied []string) {
	t.Helper()
	live := read(t, strings.ReplaceAll(manifests, "{name: new, failurePolicy: Ignore}, ", ""))
	for _, l := range live {
		webhooks(l)[0]["failurePolicy"] = "Fail"
	}
	for i, manifest := range read(t, manifests) {
		if object := tool.prepare(manifest, live[i]); object != nil {
			for _, hook := range webhooks(object) {
				applied = append(applied, hook["name"].(string)+" "+hook["failurePolicy"].(string))
			}
		}
	}
	return applied
}

func TestArgoCDAppliesTheFailurePolicyThatTheObjectHas(t *testing.T) {
	want := []string{"mutating.image-webhook.dev Ignore", "new Ignore", "validating.image-webhook.dev Fail"}
	if diff := cmp.Diff(want, prepared(t, ArgoCD)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
}

func TestFluxLeavesTheDenyingConfigurationAlone(t *testing.T) {
	if diff := cmp.Diff([]string{"mutating.image-webhook.dev Ignore"}, prepared(t, Flux)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
}

func TestSelectConfigurationsRefusesInvalidManifests(t *testing.T) {
	if objects, err := selectConfigurations("kind: {"); err == nil {
		t.Errorf("got %v", objects)
	}
}
