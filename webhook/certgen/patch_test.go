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
	Validating: Side{Selected: true}, Mutating: Side{Selected: true},
}

func asking(validating, mutating admissionregistrationv1.FailurePolicyType) Patch {
	p := patchBoth
	p.Validating.FailurePolicy, p.Mutating.FailurePolicy = validating, mutating
	return p
}

func inServiceConfig() admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{
		Service: &admissionregistrationv1.ServiceReference{Name: "webhook", Namespace: "ns"},
	}
}

func validatingConfig(policy admissionregistrationv1.FailurePolicyType) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks", ResourceVersion: "7"},
		Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: "v.dev", ClientConfig: inServiceConfig(), FailurePolicy: &policy}},
	}
}

func mutatingConfig(policy admissionregistrationv1.FailurePolicyType) *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks", ResourceVersion: "8"},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{{Name: "m.dev", ClientConfig: inServiceConfig(), FailurePolicy: &policy}},
	}
}

// state is what a patch leaves behind on both sides.
type state struct {
	ValidatingCA, MutatingCA         bool
	ValidatingPolicy, MutatingPolicy admissionregistrationv1.FailurePolicyType
}

func (api fakeAPI) state(t *testing.T, ca []byte) state {
	t.Helper()
	v, err := validatingStore(api.webhooks).get(t.Context(), "hooks")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mutatingStore(api.webhooks).get(t.Context(), "hooks")
	if err != nil {
		t.Fatal(err)
	}
	hasCA := func(c configuration) bool { return string(c.webhooks[0].client.CABundle) == string(ca) }
	return state{hasCA(v), hasCA(m), *v.webhooks[0].failurePolicy, *m.webhooks[0].failurePolicy}
}

func TestPatch(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	alive := serve(t, fresh, ready)
	dead := serve(t, fresh, http.NotFound).within(20 * time.Millisecond)
	tls := secret(data(fresh))
	for name, test := range map[string]struct {
		secret  []runtime.Object
		policy  admissionregistrationv1.FailurePolicyType // before, of both
		patch   Patch
		prover  *prover
		want    state
		wantErr string
	}{
		"the CA alone": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: patchBoth, prover: dead,
			want: state{true, true, "Ignore", "Ignore"},
		},
		"one side alone": {
			secret: []runtime.Object{tls}, policy: "Ignore", prover: alive,
			patch: Patch{WebhookName: "hooks", Namespace: "ns", SecretName: "tls", Validating: Side{Selected: true, FailurePolicy: "Fail"}},
			want:  state{true, false, "Fail", "Ignore"},
		},
		"each side its own policy": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: asking("Fail", "Ignore"), prover: alive,
			want: state{true, true, "Fail", "Ignore"},
		},
		"Ignore is set and needs no server": {
			secret: []runtime.Object{tls}, policy: "Fail", patch: asking("Ignore", "Ignore"), prover: dead,
			want: state{true, true, "Ignore", "Ignore"},
		},
		"Ignore is set even where the Secret is gone": {
			policy: "Fail", patch: asking("Ignore", "Ignore"), prover: dead,
			want:    state{false, false, "Ignore", "Ignore"},
			wantErr: `Secret ns/tls: secrets "tls" not found: apply deploy/03-certgen.yaml, which makes it`,
		},
		"no Fail for a server that does not answer": {
			secret: []runtime.Object{tls}, policy: "Ignore", patch: asking("Fail", "Fail"), prover: dead,
			want:    state{true, true, "Ignore", "Ignore"},
			wantErr: "ValidatingWebhookConfiguration hooks keeps its failure policy: the server did not answer within 20ms",
		},
		"a policy of Fail that was there is kept": {
			secret: []runtime.Object{tls}, policy: "Fail", patch: asking("Fail", "Fail"), prover: dead,
			want: state{true, true, "Fail", "Fail"},
		},
		"a ca with a private key in it is not published": {
			secret: []runtime.Object{secret(map[string][]byte{"ca": append(append([]byte{}, fresh.ca...), fresh.key...)})},
			policy: "Ignore", patch: patchBoth, prover: dead,
			want:    state{false, false, "Ignore", "Ignore"},
			wantErr: `Secret ns/tls: key "ca" is no CA bundle: a PEM block "PRIVATE KEY" where only certificates may be: run certgen create, which repairs it`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t, append(test.secret, validatingConfig(test.policy), mutatingConfig(test.policy))...)
			err := patch(t.Context(), api.cluster, test.patch, hasty, test.prover, io.Discard)
			if test.wantErr == "" && err != nil {
				t.Fatal(err)
			}
			if test.wantErr != "" && (err == nil || !strings.HasPrefix(err.Error(), test.wantErr)) {
				t.Errorf("got %v, want %s", err, test.wantErr)
			}
			if diff := cmp.Diff(test.want, api.state(t, fresh.ca)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPatchAgainWritesNothing(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	api := newFakeAPI(t, secret(data(fresh)), validatingConfig("Ignore"), mutatingConfig("Ignore"))
	prove := serve(t, fresh, ready)
	var first, second strings.Builder
	if err := patch(t.Context(), api.cluster, asking("Fail", ""), hasty, prove, &first); err != nil {
		t.Fatal(err)
	}
	before := api.writes()
	if err := patch(t.Context(), api.cluster, asking("Fail", ""), hasty, prove, &second); err != nil {
		t.Fatal(err)
	}
	if api.writes() != before {
		t.Errorf("wrote again: %v", api.Actions())
	}
	const v, m = "ValidatingWebhookConfiguration hooks: ", "MutatingWebhookConfiguration hooks: "
	want := []string{
		v + "caBundle set\n" + m + "caBundle set\n" + v + "failurePolicy Fail set\n",
		v + "caBundle set already, nothing to change\n" + m + "caBundle set already, nothing to change\n" + v + "failurePolicy Fail set already, nothing to change\n",
	}
	if diff := cmp.Diff(want, []string{first.String(), second.String()}); diff != "" {
		t.Error(diff)
	}
}

// Somebody else writes the configuration between certgen's look and its patch:
// what they wrote is read, and the patch names their version.
func TestPatchLosesARace(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	api := newFakeAPI(t, secret(data(fresh)), validatingConfig("Ignore"), mutatingConfig("Ignore"))
	resource := admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations")
	theirs := mutatingConfig("Ignore")
	theirs.ResourceVersion = "9"
	theirs.Webhooks = append(theirs.Webhooks, admissionregistrationv1.MutatingWebhook{Name: "new.dev", ClientConfig: inServiceConfig()})
	api.once("patch", resource.Resource, func() error {
		return errors.Join(api.objects.Update(resource, theirs, ""), apierrors.NewConflict(resource.GroupResource(), "hooks", nil))
	})
	if err := patch(t.Context(), api.cluster, patchBoth, hasty, nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	m, err := mutatingStore(api.webhooks).get(t.Context(), "hooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range m.webhooks {
		if string(w.client.CABundle) != string(fresh.ca) {
			t.Errorf("%s has no CA", w.name)
		}
	}
	if diff := cmp.Diff([]string{"8", "9"}, versions(t, api, resource.Resource)); diff != "" {
		t.Error(diff)
	}
}

// hasty looks once, and goes on.
var hasty = settler{interval: time.Millisecond, progress: io.Discard}

// Both Jobs run at once, and the one of patch is the faster: it must not hand over what
// the other one is about to replace.
func TestPatchWaitsForARenewal(t *testing.T) {
	due, fresh := mustIssue(t, hosts, time.Now().Add(renewBefore-leafLifetime)), mustIssue(t, hosts, time.Now())
	for name, test := range map[string]struct {
		before  []runtime.Object // the Secret, until patch has looked once
		limit   time.Duration
		inVain  bool
		want    state  // whether the fresh CA is handed over
		waiting string // what is said
	}{
		"a certificate that is renewed": {
			before: []runtime.Object{secret(data(due))}, limit: time.Minute,
			want: state{true, true, "Ignore", "Ignore"}, waiting: "Secret ns/tls: the certificate expires soon, on ",
		},
		"a Secret that is made": {
			limit: time.Minute,
			want:  state{true, true, "Ignore", "Ignore"}, waiting: `Secret ns/tls: secrets "tls" not found: waiting up to 1m0s for certgen create, which may be at it` + "\n",
		},
		"a certificate that nobody renews": {
			before: []runtime.Object{secret(data(due))}, limit: 20 * time.Millisecond, inVain: true,
			want: state{false, false, "Ignore", "Ignore"}, waiting: "Secret ns/tls: the certificate expires soon, on ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t, append(test.before, validatingConfig("Ignore"), mutatingConfig("Ignore"))...)
			looks := 0
			api.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				looks++
				return looks > 1 && !test.inVain, secret(data(fresh)), nil
			})
			var said strings.Builder
			if err := patch(t.Context(), api.cluster, patchBoth, settler{test.limit, time.Millisecond, &said}, nil, io.Discard); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, api.state(t, fresh.ca)); diff != "" {
				t.Error(diff)
			}
			if !strings.HasPrefix(said.String(), test.waiting) || strings.Count(said.String(), "\n") != 1 {
				t.Errorf("it says %q", said.String())
			}
		})
	}
}

// versions are the resource versions that the patches named, in order.
func versions(t *testing.T, api fakeAPI, resource string) (named []string) {
	for _, a := range api.Actions() {
		if p, ok := a.(clienttesting.PatchAction); ok && a.GetResource().Resource == resource {
			metadata, _ := decode(t, p.GetPatch())["metadata"].(map[string]any)
			version, _ := metadata["resourceVersion"].(string)
			named = append(named, version)
		}
	}
	return named
}

func TestPatchNamesTheMissingConfiguration(t *testing.T) {
	api := newFakeAPI(t, secret(data(mustIssue(t, hosts, noon))))
	err := patch(t.Context(), api.cluster, patchBoth, hasty, nil, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	want := `ValidatingWebhookConfiguration hooks: validatingwebhookconfigurations.admissionregistration.k8s.io "hooks" not found: apply deploy/05-webhookconfigure.yaml, which makes it`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestPatchCallsNothingElse(t *testing.T) {
	const group, validating, mutating = "admissionregistration.k8s.io", "validatingwebhookconfigurations", "mutatingwebhookconfigurations"
	fresh := mustIssue(t, hosts, time.Now())
	validatingOnly := asking("Fail", "")
	validatingOnly.Mutating.Selected = false
	mutatingOnly := asking("", "Ignore")
	mutatingOnly.Validating.Selected = false
	for _, test := range []struct {
		patch     Patch
		resources []string
	}{
		{validatingOnly, []string{validating}},
		{mutatingOnly, []string{mutating}},
		{asking("Fail", "Ignore"), []string{validating, mutating}},
	} {
		api := newFakeAPI(t, secret(data(fresh)), validatingConfig("Ignore"), mutatingConfig("Ignore"))
		if err := patch(t.Context(), api.cluster, test.patch, hasty, serve(t, fresh, ready), io.Discard); err != nil {
			t.Fatal(err)
		}
		want := []call{{"get", "", "secrets", "ns", "tls"}}
		for _, resource := range test.resources {
			want = append(want, call{"get", group, resource, "", "hooks"}, call{"patch", group, resource, "", "hooks"})
		}
		checkCalls(t, want, api.recorded())
	}
}
