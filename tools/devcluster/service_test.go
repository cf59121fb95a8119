package devcluster

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/image-webhook/image-webhook/deploy"
)

// manifestService returns the Service of deploy/04-webhook.yaml.
func manifestService(t *testing.T) corev1.Service {
	t.Helper()
	found, err := services(rolloutStep().Content)
	if err != nil || len(found) != 1 || found[0].Name != "webhook" {
		t.Fatalf("Services %+v, error %v, want webhook", found, err)
	}
	return found[0]
}

func TestOnlyTheWebhookHasAService(t *testing.T) {
	for _, step := range append(deploy.Steps(), deploy.NamespaceOwnerSteps()...) {
		found, err := services(step.Content)
		if err != nil {
			t.Errorf("%s: %v", step.Name, err)
		}
		if want := step.Name == rolloutStep().Name; (len(found) > 0) != want {
			t.Errorf("%s has %d Services", step.Name, len(found))
		}
	}
}

func TestCheckSelectorNamesTheKeyAndTheCommand(t *testing.T) {
	for name, tt := range map[string]struct {
		extra map[string]string
		want  string
	}{
		"same selector": {nil, ""},
		"one key": {map[string]string{"tier": "front"}, `check Service webhook: its selector also has "tier", which is not in the manifest, so kubectl apply keeps it: ` +
			`run kubectl patch service webhook -n image-webhook --type=merge -p '{"spec":{"selector":{"tier":null}}}'`},
		"two keys": {map[string]string{"tier": "front", "example.com/a": ""}, `check Service webhook: its selector also has "example.com/a", "tier", which is not in the manifest, so kubectl apply keeps it: ` +
			`run kubectl patch service webhook -n image-webhook --type=merge -p '{"spec":{"selector":{"example.com/a":null,"tier":null}}}'`},
	} {
		wanted := manifestService(t)
		live := *wanted.DeepCopy()
		maps.Copy(live.Spec.Selector, tt.extra)
		got := ""
		if err := checkSelector(live, wanted); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCountReadyCountsEndpointsThatServe(t *testing.T) {
	endpoint := func(ready *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ready}}
	}
	for name, tt := range map[string]struct {
		slices []discoveryv1.EndpointSlice
		want   int
	}{
		"no slice":    {nil, 0},
		"empty slice": {[]discoveryv1.EndpointSlice{{}}, 0},
		"not ready":   {[]discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{endpoint(new(false))}}}, 0},
		"ready":       {[]discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{endpoint(new(false)), endpoint(new(true))}}, {Endpoints: []discoveryv1.Endpoint{endpoint(new(true))}}}, 2},
		"unknown":     {[]discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{endpoint(nil)}}}, 1}, // the API says that nil means ready
	} {
		if got := countReady(tt.slices); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
