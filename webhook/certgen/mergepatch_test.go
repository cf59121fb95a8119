package certgen

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

func hook(name, ca string, policy admissionregistrationv1.FailurePolicyType) webhook {
	return webhook{name, admissionregistrationv1.WebhookClientConfig{CABundle: []byte(ca)}, &policy}
}

func TestMergePatchContainsOnlyMissingFields(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("ca"))
	for name, test := range map[string]struct {
		hooks   []webhook
		desired desiredState
		patch   string // the webhooks of the patch; empty: no patch
	}{
		"everything is set": {
			hooks:   []webhook{hook("a", "ca", "Fail")},
			desired: desiredState{[]byte("ca"), "Fail"},
		},
		"no webhooks": {desired: desiredState{[]byte("ca"), "Fail"}},
		"nothing desired": {
			hooks: []webhook{hook("a", "", "Fail")},
		},
		"CA in one webhook only": {
			hooks:   []webhook{hook("a", "ca", "Fail"), hook("b", "old", "Fail")},
			desired: desiredState{caBundle: []byte("ca")},
			patch:   `[{"name":"b","clientConfig":{"caBundle":"` + encoded + `"}}]`,
		},
		"policy only": {
			hooks:   []webhook{hook("a", "ca", "Fail"), hook("b", "", "Ignore")},
			desired: desiredState{failurePolicy: "Ignore"},
			patch:   `[{"name":"a","failurePolicy":"Ignore"}]`,
		},
		"Fail together with the CA": {
			hooks:   []webhook{hook("a", "", "Ignore"), hook("b", "ca", "Ignore")},
			desired: desiredState{[]byte("ca"), "Fail"},
			patch:   `[{"name":"a","clientConfig":{"caBundle":"` + encoded + `"},"failurePolicy":"Fail"},{"name":"b","failurePolicy":"Fail"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			updates := test.desired.updatesFor(configuration{"7", test.hooks}, noon)
			if test.patch == "" {
				if len(updates) > 0 {
					t.Errorf("got patch %s, want none", mergePatch("7", updates))
				}
				return
			}
			want := `{"metadata":{"resourceVersion":"7"},"webhooks":` + test.patch + `}`
			if diff := cmp.Diff(decode(t, []byte(want)), decode(t, mergePatch("7", updates))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUpdatesKeepTheTrustedCA(t *testing.T) {
	lost, fresh := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	trusting := func(bundle []byte) configuration {
		return configuration{"7", []webhook{hook("a", string(bundle), "Fail")}}
	}
	newAndOld := append(bytes.Clone(fresh.ca), lost.ca...)
	desired := desiredState{caBundle: fresh.ca}
	updates := desired.updatesFor(trusting(lost.ca), noon)
	if len(updates) != 1 || !bytes.Equal(updates[0].caBundle, newAndOld) {
		t.Fatalf("first run: got updates %v, want a bundle of the new and the old CA", updates)
	}
	if updates := desired.updatesFor(trusting(newAndOld), noon); len(updates) > 0 {
		t.Errorf("second run: got updates %v, want none", updates)
	}
	afterExpiry := noon.AddDate(20, 0, 0)
	if updates := desired.updatesFor(trusting(newAndOld), afterExpiry); len(updates) != 1 || !bytes.Equal(updates[0].caBundle, fresh.ca) {
		t.Errorf("expired old CA: got updates %v, want a bundle of the new CA only", updates)
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
	c := configuration{"7", []webhook{hook("a", "", "Ignore"), hook("b", "old", "Fail")}}
	patch := mergePatch("7", desiredState{[]byte("ca"), "Fail"}.updatesFor(c, noon))
	got, err := strategicpatch.StrategicMergePatch([]byte(found), patch, admissionregistrationv1.ValidatingWebhookConfiguration{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"name":"c","resourceVersion":"7","labels":{"a":"b"}},"webhooks":[
		{"name":"a","clientConfig":{"service":{"name":"s","namespace":"n"},"caBundle":"Y2E="},"failurePolicy":"Fail","rules":[{"operations":["CREATE"]}],"fromTheFuture":1},
		{"name":"b","clientConfig":{"url":"https://u","caBundle":"Y2E="},"failurePolicy":"Fail","timeoutSeconds":3}]}`
	if diff := cmp.Diff(decode(t, []byte(want)), decode(t, got)); diff != "" {
		t.Error(diff)
	}
}
