package certgen

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

var patchBoth = Patch{
	WebhookName: "hooks", Namespace: "ns", SecretName: "tls",
	Validating: ConfigurationPatch{Selected: true}, Mutating: ConfigurationPatch{Selected: true},
}

func patchWithPolicies(validating, mutating admissionregistrationv1.FailurePolicyType) Patch {
	p := patchBoth
	p.Validating.FailurePolicy, p.Mutating.FailurePolicy = validating, mutating
	return p
}

func serviceClientConfig() admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{
		Service: &admissionregistrationv1.ServiceReference{Name: "webhook", Namespace: "ns"},
	}
}

func validatingConfig(policy admissionregistrationv1.FailurePolicyType) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks", ResourceVersion: "7"},
		Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: "v.dev", ClientConfig: serviceClientConfig(), FailurePolicy: &policy}},
	}
}

func mutatingConfig(policy admissionregistrationv1.FailurePolicyType) *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks", ResourceVersion: "8"},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{{Name: "m.dev", ClientConfig: serviceClientConfig(), FailurePolicy: &policy}},
	}
}

// state holds the result of a patch in both configurations.
type state struct {
	ValidatingCA, MutatingCA         bool
	ValidatingPolicy, MutatingPolicy admissionregistrationv1.FailurePolicyType
}

func (api fakeAPI) state(t *testing.T, ca []byte) state {
	t.Helper()
	v, err := validatingClient(api.webhooks).get(t.Context(), "hooks")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mutatingClient(api.webhooks).get(t.Context(), "hooks")
	if err != nil {
		t.Fatal(err)
	}
	hasCA := func(c configuration) bool { return string(c.webhooks[0].client.CABundle) == string(ca) }
	return state{hasCA(v), hasCA(m), *v.webhooks[0].failurePolicy, *m.webhooks[0].failurePolicy}
}

func TestPatchSetsCAAndPolicies(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	alive := serve(t, fresh, serveReadyz)
	dead := serve(t, fresh, http.NotFound).withTimeout(20 * time.Millisecond)
	tls := secret(data(fresh))
	for name, test := range map[string]struct {
		secret  []runtime.Object
		policy  admissionregistrationv1.FailurePolicyType // of both configurations before
		patch   Patch
		prober  *prober
		want    state
		wantErr string // start of the error; empty: none
	}{
		"CA only": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: patchBoth, prober: dead,
			want: state{true, true, "Ignore", "Ignore"},
		},
		"one configuration only": {
			secret: []runtime.Object{tls}, policy: "Ignore", prober: alive,
			patch: Patch{WebhookName: "hooks", Namespace: "ns", SecretName: "tls", Validating: ConfigurationPatch{Selected: true, FailurePolicy: "Fail"}},
			want:  state{true, false, "Fail", "Ignore"},
		},
		"different policies": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: patchWithPolicies("Fail", "Ignore"), prober: alive,
			want: state{true, true, "Fail", "Ignore"},
		},
		"Ignore without a server": {
			secret: []runtime.Object{tls}, policy: "Fail", patch: patchWithPolicies("Ignore", "Ignore"), prober: dead,
			want: state{true, true, "Ignore", "Ignore"},
		},
		"Ignore without a Secret": {
			policy: "Fail", patch: patchWithPolicies("Ignore", "Ignore"), prober: dead,
			want:    state{false, false, "Ignore", "Ignore"},
			wantErr: `Secret ns/tls: secrets "tls" not found: apply deploy/03-certgen.yaml, which creates it`,
		},
		"no Fail without a server": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: patchWithPolicies("Fail", "Fail"), prober: dead,
			want:    state{true, true, "Ignore", "Ignore"},
			wantErr: "ValidatingWebhookConfiguration hooks: failurePolicy Fail not set: the server did not answer within 20ms",
		},
		"existing Fail stays without a server": {
			secret: []runtime.Object{tls}, policy: "Fail", patch: patchWithPolicies("Fail", "Fail"), prober: dead,
			want: state{true, true, "Fail", "Fail"},
		},
		"ca with a private key is not published": {
			secret: []runtime.Object{secret(map[string][]byte{"ca": append(append([]byte{}, fresh.ca...), fresh.key...)})},
			policy: "Ignore", patch: patchBoth, prober: dead,
			want:    state{false, false, "Ignore", "Ignore"},
			wantErr: `Secret ns/tls: key "ca" is not a CA bundle: unexpected PEM block "PRIVATE KEY": only certificates are allowed: run certgen create, which repairs it`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t, append(test.secret, validatingConfig(test.policy), mutatingConfig(test.policy))...)
			err := patch(t.Context(), api.apiClients, test.patch, noWait, test.prober, io.Discard)
			if test.wantErr == "" && err != nil {
				t.Fatal(err)
			}
			if test.wantErr != "" && (err == nil || !strings.HasPrefix(err.Error(), test.wantErr)) {
				t.Errorf("got error %v, want %s", err, test.wantErr)
			}
			if diff := cmp.Diff(test.want, api.state(t, fresh.ca)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPatchTwiceWritesOnce(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	api := newFakeAPI(t, secret(data(fresh)), validatingConfig("Ignore"), mutatingConfig("Ignore"))
	prober := serve(t, fresh, serveReadyz)
	var first, second strings.Builder
	if err := patch(t.Context(), api.apiClients, patchWithPolicies("Fail", ""), noWait, prober, &first); err != nil {
		t.Fatal(err)
	}
	before := api.countWrites()
	if err := patch(t.Context(), api.apiClients, patchWithPolicies("Fail", ""), noWait, prober, &second); err != nil {
		t.Fatal(err)
	}
	if api.countWrites() != before {
		t.Errorf("the second run wrote: %v", api.Actions())
	}
	const v, m = "ValidatingWebhookConfiguration hooks: ", "MutatingWebhookConfiguration hooks: "
	want := []string{
		v + "caBundle set\n" + m + "caBundle set\n" + v + "failurePolicy Fail set\n",
		v + "caBundle already set\n" + m + "caBundle already set\n" + v + "failurePolicy Fail already set\n",
	}
	if diff := cmp.Diff(want, []string{first.String(), second.String()}); diff != "" {
		t.Error(diff)
	}
}

func TestPatchRetriesAfterAConflict(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	api := newFakeAPI(t, secret(data(fresh)), validatingConfig("Ignore"), mutatingConfig("Ignore"))
	resource := admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations")
	concurrent := mutatingConfig("Ignore")
	concurrent.ResourceVersion = "9"
	concurrent.Webhooks = append(concurrent.Webhooks, admissionregistrationv1.MutatingWebhook{Name: "new.dev", ClientConfig: serviceClientConfig()})
	api.failFirst("patch", resource.Resource, func() error {
		return errors.Join(api.objects.Update(resource, concurrent, ""), apierrors.NewConflict(resource.GroupResource(), "hooks", nil))
	})
	if err := patch(t.Context(), api.apiClients, patchBoth, noWait, nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	m, err := mutatingClient(api.webhooks).get(t.Context(), "hooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range m.webhooks {
		if string(w.client.CABundle) != string(fresh.ca) {
			t.Errorf("webhook %s has no CA", w.name)
		}
	}
	if diff := cmp.Diff([]string{"8", "9"}, patchedVersions(t, api, resource.Resource)); diff != "" {
		t.Error(diff)
	}
}

// noWait is a secretWaiter that reads the Secret once and does not wait.
var noWait = secretWaiter{interval: time.Millisecond, progress: io.Discard}

func TestPatchWaitsForCreate(t *testing.T) {
	expiring, fresh := mustIssue(t, hosts, time.Now().Add(renewBefore-leafLifetime)), mustIssue(t, hosts, time.Now())
	for name, test := range map[string]struct {
		before   []runtime.Object // the Secret in the first read
		timeout  time.Duration
		noCreate bool   // the Secret never changes
		want     state  // whether the fresh CA is published
		progress string // start of the only line
	}{
		"create renews the certificate": {
			before: []runtime.Object{secret(data(expiring))}, timeout: time.Minute,
			want: state{true, true, "Ignore", "Ignore"}, progress: "Secret ns/tls: the certificate expires soon, on ",
		},
		"create creates the Secret": {
			timeout: time.Minute,
			want:    state{true, true, "Ignore", "Ignore"}, progress: `Secret ns/tls: secrets "tls" not found: waiting up to 1m0s for certgen create to fix it` + "\n",
		},
		"create does not run": {
			before: []runtime.Object{secret(data(expiring))}, timeout: 20 * time.Millisecond, noCreate: true,
			want: state{false, false, "Ignore", "Ignore"}, progress: "Secret ns/tls: the certificate expires soon, on ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t, append(test.before, validatingConfig("Ignore"), mutatingConfig("Ignore"))...)
			reads := 0
			api.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				reads++
				return reads > 1 && !test.noCreate, secret(data(fresh)), nil
			})
			var progress strings.Builder
			if err := patch(t.Context(), api.apiClients, patchBoth, secretWaiter{test.timeout, time.Millisecond, &progress}, nil, io.Discard); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, api.state(t, fresh.ca)); diff != "" {
				t.Error(diff)
			}
			if !strings.HasPrefix(progress.String(), test.progress) || strings.Count(progress.String(), "\n") != 1 {
				t.Errorf("got progress %q, want one line that starts with %q", progress.String(), test.progress)
			}
		})
	}
}

// patchedVersions returns the resource versions in the patches, in order.
func patchedVersions(t *testing.T, api fakeAPI, resource string) (versions []string) {
	for _, a := range api.Actions() {
		if p, ok := a.(clienttesting.PatchAction); ok && a.GetResource().Resource == resource {
			metadata, _ := decode(t, p.GetPatch())["metadata"].(map[string]any)
			version, _ := metadata["resourceVersion"].(string)
			versions = append(versions, version)
		}
	}
	return versions
}

func TestPatchNamesAMissingConfiguration(t *testing.T) {
	api := newFakeAPI(t, secret(data(mustIssue(t, hosts, noon))))
	err := patch(t.Context(), api.apiClients, patchBoth, noWait, nil, io.Discard)
	if err == nil {
		t.Fatal("got no error")
	}
	want := `ValidatingWebhookConfiguration hooks: validatingwebhookconfigurations.admissionregistration.k8s.io "hooks" not found: apply deploy/05-webhookconfigure.yaml, which creates it`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestPatchMakesOnlyTheseCalls(t *testing.T) {
	const group, validating, mutating = "admissionregistration.k8s.io", "validatingwebhookconfigurations", "mutatingwebhookconfigurations"
	fresh := mustIssue(t, hosts, time.Now())
	validatingOnly := patchWithPolicies("Fail", "")
	validatingOnly.Mutating.Selected = false
	mutatingOnly := patchWithPolicies("", "Ignore")
	mutatingOnly.Validating.Selected = false
	for _, test := range []struct {
		patch     Patch
		resources []string
	}{
		{validatingOnly, []string{validating}},
		{mutatingOnly, []string{mutating}},
		{patchWithPolicies("Fail", "Ignore"), []string{validating, mutating}},
	} {
		api := newFakeAPI(t, secret(data(fresh)), validatingConfig("Ignore"), mutatingConfig("Ignore"))
		if err := patch(t.Context(), api.apiClients, test.patch, noWait, serve(t, fresh, serveReadyz), io.Discard); err != nil {
			t.Fatal(err)
		}
		want := []call{{"get", "", "secrets", "ns", "tls"}}
		for _, resource := range test.resources {
			want = append(want, call{"get", group, resource, "", "hooks"}, call{"patch", group, resource, "", "hooks"})
		}
		checkCalls(t, want, api.calls())
	}
}
