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

func TestMergePatch(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("ca"))
	for name, test := range map[string]struct {
		hooks []webhook
		want  want
		patch string // of the webhooks; empty: nothing to change
	}{
		"everything is there": {
			hooks: []webhook{hook("a", "ca", "Fail")},
			want:  want{[]byte("ca"), "Fail"},
		},
		"no webhooks": {want: want{[]byte("ca"), "Fail"}},
		"nothing wanted": {
			hooks: []webhook{hook("a", "", "Fail")},
		},
		"only the CA of the one that lacks it": {
			hooks: []webhook{hook("a", "ca", "Fail"), hook("b", "old", "Fail")},
			want:  want{caBundle: []byte("ca")},
			patch: `[{"name":"b","clientConfig":{"caBundle":"` + encoded + `"}}]`,
		},
		"the policy alone": {
			hooks: []webhook{hook("a", "ca", "Fail"), hook("b", "", "Ignore")},
			want:  want{failurePolicy: "Ignore"},
			patch: `[{"name":"a","failurePolicy":"Ignore"}]`,
		},
		"Fail comes with the CA it was proven under": {
			hooks: []webhook{hook("a", "", "Ignore"), hook("b", "ca", "Ignore")},
			want:  want{[]byte("ca"), "Fail"},
			patch: `[{"name":"a","clientConfig":{"caBundle":"` + encoded + `"},"failurePolicy":"Fail"},{"name":"b","failurePolicy":"Fail"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			changes := test.want.changesTo(configuration{"7", test.hooks}, noon)
			if test.patch == "" {
				if len(changes) > 0 {
					t.Errorf("changes: %s", mergePatch("7", changes))
				}
				return
			}
			want := `{"metadata":{"resourceVersion":"7"},"webhooks":` + test.patch + `}`
			if diff := cmp.Diff(decode(t, []byte(want)), decode(t, mergePatch("7", changes))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A Secret that was lost and made anew has a CA that no server serves under yet.
func TestTheTrustedCAStays(t *testing.T) {
	lost, fresh := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	trusting := func(bundle []byte) configuration {
		return configuration{"7", []webhook{hook("a", string(bundle), "Fail")}}
	}
	both := append(bytes.Clone(fresh.ca), lost.ca...)
	changes := want{caBundle: fresh.ca}.changesTo(trusting(lost.ca), noon)
	if len(changes) != 1 || !bytes.Equal(changes[0].caBundle, both) {
		t.Fatalf("the bundle must be the new CA and the trusted one: %v", changes)
	}
	if changes := (want{caBundle: fresh.ca}).changesTo(trusting(both), noon); len(changes) > 0 {
		t.Errorf("a second run changes the bundle again: %v", changes)
	}
	later := noon.AddDate(20, 0, 0)
	if changes := (want{caBundle: fresh.ca}).changesTo(trusting(both), later); len(changes) != 1 || !bytes.Equal(changes[0].caBundle, fresh.ca) {
		t.Errorf("a CA that has expired must leave the bundle: %v", changes)
	}
}

func decode(t *testing.T, data []byte) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return object
}

// The API server merges by the rules that the Go type carries; by the same
// rules nothing but the two fields may change, not even a field unknown here.
func TestMergePatchLeavesTheRestAlone(t *testing.T) {
	found := `{"metadata":{"name":"c","resourceVersion":"7","labels":{"a":"b"}},"webhooks":[
		{"name":"a","clientConfig":{"service":{"name":"s","namespace":"n"}},"failurePolicy":"Ignore","rules":[{"operations":["CREATE"]}],"fromTheFuture":1},
		{"name":"b","clientConfig":{"url":"https://u","caBundle":"b2xk"},"failurePolicy":"Fail","timeoutSeconds":3}]}`
	c := configuration{"7", []webhook{hook("a", "", "Ignore"), hook("b", "old", "Fail")}}
	patch := mergePatch("7", want{[]byte("ca"), "Fail"}.changesTo(c, noon))
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
