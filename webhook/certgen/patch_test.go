package certgen

import (
	"errors"
	"io"
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
	Timeout: 20 * time.Millisecond,
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
	v, err := validatingClient(api.webhooks).get(t.Context(), "hooks", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mutatingClient(api.webhooks).get(t.Context(), "hooks", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hasCA := func(c configuration) bool { return string(c.webhooks[0].client.CABundle) == string(ca) }
	return state{hasCA(v), hasCA(m), *v.webhooks[0].failurePolicy, *m.webhooks[0].failurePolicy}
}

func TestPatchSetsCAAndPolicies(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	tls := secret(data(fresh))
	for name, test := range map[string]struct {
		secret  []runtime.Object
		policy  admissionregistrationv1.FailurePolicyType // of both configurations before
		patch   Patch
		denies  bool // the webhook denies the probe pod
		want    state
		wantErr string // start of the error; empty: none
	}{
		"CA only": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: patchBoth,
			want: state{true, true, "Ignore", "Ignore"},
		},
		"one configuration only": {
			secret: []runtime.Object{tls}, policy: "Ignore", denies: true,
			patch: patchOne(ConfigurationPatch{Selected: true, FailurePolicy: "Fail"}),
			want:  state{true, false, "Fail", "Ignore"},
		},
		"different policies": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: patchWithPolicies("Fail", "Ignore"), denies: true,
			want: state{true, true, "Fail", "Ignore"},
		},
		"Ignore without a verdict": {
			secret: []runtime.Object{tls}, policy: "Fail", patch: patchWithPolicies("Ignore", "Ignore"),
			want: state{true, true, "Ignore", "Ignore"},
		},
		"Ignore without a Secret": {
			policy: "Fail", patch: patchWithPolicies("Ignore", "Ignore"),
			want:    state{false, false, "Ignore", "Ignore"},
			wantErr: `Secret ns/tls: secrets "tls" not found: apply deploy/03-certgen.yaml, which creates it`,
		},
		"no Fail without a verdict": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: patchWithPolicies("Fail", "Fail"),
			want: state{true, true, "Ignore", "Ignore"},
			wantErr: "ValidatingWebhookConfiguration hooks: failurePolicy Fail not set: API server 10.0.0.1:6443 after 20ms: it gets no verdict from the webhook: " +
				"the webhook does not answer this pod either: ",
		},
		"existing Fail stays without a verdict": {
			secret: []runtime.Object{tls}, policy: "Fail", patch: patchWithPolicies("Fail", "Fail"),
			want: state{true, true, "Fail", "Fail"},
		},
		"ca with a private key is not published": {
			secret: []runtime.Object{secret(map[string][]byte{"ca": append(append([]byte{}, fresh.ca...), fresh.key...)})},
			policy: "Ignore", patch: patchBoth,
			want:    state{false, false, "Ignore", "Ignore"},
			wantErr: `Secret ns/tls: key "ca" is not a CA bundle: unexpected PEM block "PRIVATE KEY": only certificates are allowed: run certgen create, which repairs it`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t, append(test.secret, validatingConfig(test.policy), mutatingConfig(test.policy))...)
			api.refusePods(overQuota)
			if test.denies {
				api.refusePods(denial)
			}
			err := api.session(t, io.Discard).patch(t.Context(), test.patch)
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

func patchOne(validating ConfigurationPatch) Patch {
	p := patchBoth
	p.Validating, p.Mutating = validating, ConfigurationPatch{}
	return p
}

func TestPatchTwiceWritesOnce(t *testing.T) {
	api := newFakeAPI(t, secret(data(mustIssue(t, hosts, time.Now()))), validatingConfig("Ignore"), mutatingConfig("Ignore"))
	api.refusePods(denial)
	var first, second strings.Builder
	if err := api.session(t, &first).patch(t.Context(), patchWithPolicies("Fail", "")); err != nil {
		t.Fatal(err)
	}
	before := api.countWrites()
	if err := api.session(t, &second).patch(t.Context(), patchWithPolicies("Fail", "")); err != nil {
		t.Fatal(err)
	}
	if api.countWrites() != before {
		t.Errorf("the second run wrote: %v", api.Actions())
	}
	const v, m = "ValidatingWebhookConfiguration hooks: ", "MutatingWebhookConfiguration hooks: "
	want := []string{
		v + "caBundle set\n" + m + "caBundle set\nAPI server 10.0.0.1:6443 gets verdicts from the webhook\n" + v + "failurePolicy Fail set\n",
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
	if err := api.session(t, io.Discard).patch(t.Context(), patchBoth); err != nil {
		t.Fatal(err)
	}
	m, err := mutatingClient(api.webhooks).get(t.Context(), "hooks", metav1.GetOptions{})
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

func TestPatchKeepsEarlierCAs(t *testing.T) {
	fresh, earlier := mustIssue(t, hosts, time.Now()), mustIssue(t, hosts, time.Now())
	configuration := validatingConfig("Fail")
	configuration.Webhooks[0].ClientConfig.CABundle = earlier.ca
	api := newFakeAPI(t, secret(data(fresh)), configuration)
	if err := api.session(t, io.Discard).patch(t.Context(), patchOne(ConfigurationPatch{Selected: true})); err != nil {
		t.Fatal(err)
	}
	found, err := validatingClient(api.webhooks).get(t.Context(), "hooks", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(fresh.ca)+string(earlier.ca), string(found.webhooks[0].client.CABundle)); diff != "" {
		t.Error(diff)
	}
}

func TestPatchWaitsForCreate(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	api := newFakeAPI(t, validatingConfig("Ignore"), mutatingConfig("Ignore"))
	reads := 0
	api.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		reads++
		return reads > 1, secret(data(fresh)), nil
	})
	var progress strings.Builder
	s := api.session(t, io.Discard)
	s.secretLimit, s.progress = time.Minute, &progress
	if err := s.patch(t.Context(), patchBoth); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state{true, true, "Ignore", "Ignore"}, api.state(t, fresh.ca)); diff != "" {
		t.Error(diff)
	}
	want := `Secret ns/tls: secrets "tls" not found: apply deploy/03-certgen.yaml, which creates it: waiting up to 1m0s for certgen create` + "\n"
	if diff := cmp.Diff(want, progress.String()); diff != "" {
		t.Error(diff)
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
	err := api.session(t, io.Discard).patch(t.Context(), patchBoth)
	if err == nil {
		t.Fatal("got no error")
	}
	want := `ValidatingWebhookConfiguration hooks: validatingwebhookconfigurations.admissionregistration.k8s.io "hooks" not found: apply deploy/05-webhookconfigure.yaml, which creates it`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestPatchMakesOnlyTheseCalls(t *testing.T) {
	const validating, mutating = "validatingwebhookconfigurations", "mutatingwebhookconfigurations"
	validatingOnly := patchWithPolicies("Fail", "")
	validatingOnly.Mutating.Selected = false
	mutatingOnly := patchWithPolicies("", "Ignore")
	mutatingOnly.Validating.Selected = false
	probe := call{"create", "", "pods", "ns-probe", ""}
	for _, test := range []struct {
		patch     Patch
		resources []string
		more      []call
	}{
		{validatingOnly, []string{validating}, []call{probe}},
		{mutatingOnly, []string{mutating}, nil},
		{patchWithPolicies("Fail", "Ignore"), []string{validating, mutating}, []call{probe}},
	} {
		api := newFakeAPI(t, secret(data(mustIssue(t, hosts, time.Now()))), validatingConfig("Ignore"), mutatingConfig("Ignore"))
		api.refusePods(denial)
		if err := api.session(t, io.Discard).patch(t.Context(), test.patch); err != nil {
			t.Fatal(err)
		}
		want := append(test.more, call{"get", "", "secrets", "ns", "tls"})
		for _, resource := range test.resources {
			want = append(want, call{"get", registrationGroup, resource, "", "hooks"}, call{"patch", registrationGroup, resource, "", "hooks"})
		}
		checkCalls(t, want, api.calls())
	}
}
