package certgen

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

func hook(name, ca string, policy admissionregistrationv1.FailurePolicyType) webhook {
	return webhook{name, admissionregistrationv1.WebhookClientConfig{CABundle: []byte(ca)}, &policy}
}

func TestPolicyChangeContainsOnlyMissingFields(t *testing.T) {
	recorded := map[string]string{PolicyAnnotation: "Fail"}
	for name, test := range map[string]struct {
		found configuration
		want  string // the patch; empty: none
	}{
		"everything is set": {found: configuration{annotations: recorded, webhooks: []webhook{hook("a", "ca", "Fail")}}},
		"not recorded": {
			found: configuration{webhooks: []webhook{hook("a", "ca", "Fail")}},
			want:  `{"metadata":{"resourceVersion":"7","annotations":{"image-webhook.dev/failure-policy":"Fail"}}}`,
		},
		"one webhook only": {
			found: configuration{annotations: recorded, webhooks: []webhook{hook("a", "ca", "Fail"), hook("b", "", "Ignore")}},
			want:  `{"metadata":{"resourceVersion":"7"},"webhooks":[{"name":"b","failurePolicy":"Fail"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			change := policyChange(test.found, "Fail")
			if change.isEmpty() != (test.want == "") {
				t.Fatalf("got %+v", change)
			}
			if test.want == "" {
				return
			}
			if diff := cmp.Diff(decode(t, []byte(test.want)), decode(t, change.mergePatch("7"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBundleChangesContainOnlyDifferentBundles(t *testing.T) {
	hooks := []webhook{hook("a", "ca", "Fail"), hook("b", "old", "Fail"), hook("c", "", "Fail")}
	got := bundleChanges(hooks, func(present []byte) []byte {
		if len(present) == 0 {
			return nil // an empty bundle would let the API server trust its system's CAs
		}
		return []byte("ca")
	})
	want := []webhookChange{{name: "b", caBundle: []byte("ca")}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(webhookChange{})); diff != "" {
		t.Error(diff)
	}
}

func decode(t *testing.T, data []byte) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return object
}

func TestMergePatchKeepsAllOtherFields(t *testing.T) {
	// Like the API server, merge by the struct tags of the Go type.
	found := `{"metadata":{"name":"c","resourceVersion":"7","labels":{"a":"b"}},"webhooks":[
		{"name":"a","clientConfig":{"service":{"name":"s","namespace":"n"}},"failurePolicy":"Ignore","rules":[{"operations":["CREATE"]}],"fromTheFuture":1},
		{"name":"b","clientConfig":{"url":"https://u","caBundle":"b2xk"},"failurePolicy":"Fail","timeoutSeconds":3}]}`
	change := configurationChange{"Fail", []webhookChange{{"a", []byte("ca"), "Fail"}, {"b", []byte("ca"), ""}}}
	patch := change.mergePatch("7")
	got, err := strategicpatch.StrategicMergePatch([]byte(found), patch, admissionregistrationv1.ValidatingWebhookConfiguration{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"name":"c","resourceVersion":"7","labels":{"a":"b"},"annotations":{"image-webhook.dev/failure-policy":"Fail"}},"webhooks":[
		{"name":"a","clientConfig":{"service":{"name":"s","namespace":"n"},"caBundle":"Y2E="},"failurePolicy":"Fail","rules":[{"operations":["CREATE"]}],"fromTheFuture":1},
		{"name":"b","clientConfig":{"url":"https://u","caBundle":"Y2E="},"failurePolicy":"Fail","timeoutSeconds":3}]}`
	if diff := cmp.Diff(decode(t, []byte(want)), decode(t, got)); diff != "" {
		t.Error(diff)
	}
}
