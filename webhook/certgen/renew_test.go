package certgen

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const registrationGroup = "admissionregistration.k8s.io"

// configurationCalls returns calls with these verbs to the configurations that certgen manages.
func configurationCalls(verbs ...string) (calls []call) {
	for _, verb := range verbs {
		for _, name := range []string{"image-webhook", "image-webhook-warnings"} {
			calls = append(calls, call{verb, registrationGroup, "validatingwebhookconfigurations", "", name})
		}
		for _, name := range []string{"image-webhook", "image-webhook-namespace-owner"} {
			calls = append(calls, call{verb, registrationGroup, "mutatingwebhookconfigurations", "", name})
		}
	}
	return calls
}

var renewTLS = Renew{createTLS, 20 * time.Millisecond}

// installation is an installed webhook on a fake API server. Its replica serves the certificate
// of the Secret, and starts to use a new one at the next connection.
type installation struct {
	fakeAPI
	frozen atomic.Bool // the replica keeps the certificate that it serves
}

func install(t *testing.T, certificate issuedCertificate, bundles ...[]byte) *installation {
	t.Helper()
	policy := admissionregistrationv1.Fail
	client := serviceClientConfig()
	for _, bundle := range bundles {
		client.CABundle = append(client.CABundle, bundle...)
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, ResourceVersion: "1", Annotations: map[string]string{PolicyAnnotation: "Fail"}}
	}
	validating := func(name string) runtime.Object {
		return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta(name), Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: name + ".dev", ClientConfig: client, FailurePolicy: &policy}}}
	}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta("image-webhook"), Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "m.dev", ClientConfig: client, FailurePolicy: &policy}}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "webhook-1", Namespace: "ns", Labels: map[string]string{discoveryv1.LabelServiceName: "webhook"}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.9"}}},
		Ports:      []discoveryv1.EndpointPort{{Port: new(int32(8443))}},
	}
	i := &installation{fakeAPI: newFakeAPI(t, secret(data(certificate)), validating("image-webhook"), validating("image-webhook-warnings"), mutating, slice)}
	i.refusePods(denial)
	return i
}

func (i *installation) session(t *testing.T, out io.Writer) session {
	t.Helper()
	s := i.fakeAPI.session(t, out)
	var served issuedCertificate
	s.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		found, err := i.core.Secrets("ns").Get(ctx, "tls", metav1.GetOptions{})
		if err != nil && served.cert == nil {
			return nil, err
		}
		if err == nil && !i.frozen.Load() && checkUsable(found.Data, nil, time.Now()) == nil {
			served = issuedCertificate{found.Data[caKey], found.Data[certKey], found.Data[keyKey]}
		}
		return serve(t, served, nil)(ctx, network, address)
	}
	return s
}

// hooks returns all webhooks by name.
func (i *installation) hooks(t *testing.T) map[string]webhook {
	t.Helper()
	found := map[string]webhook{}
	for _, m := range managedConfigurations(i.webhooks) {
		configuration, err := m.get(t.Context(), m.name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		for _, w := range configuration.webhooks {
			found[m.String()+" "+w.name] = w
		}
	}
	return found
}

// bundle returns the caBundle of all webhooks, which must be equal.
func (i *installation) bundle(t *testing.T) (bundle string) {
	t.Helper()
	bundles := map[string]bool{}
	for _, w := range i.hooks(t) {
		bundle = string(w.client.CABundle)
		bundles[bundle] = true
	}
	if len(bundles) != 1 {
		t.Fatalf("%d different caBundles", len(bundles))
	}
	return bundle
}

// setIgnore sets a policy as a client does that does not know certgen.
func (i *installation) setIgnore(t *testing.T, n namedConfiguration) {
	t.Helper()
	_, err := n.update(t.Context(), func(found configuration) (configurationChange, error) {
		return configurationChange{webhooks: []webhookChange{{name: found.webhooks[0].name, failurePolicy: "Ignore"}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRenewReplacesADueCertificate(t *testing.T) {
	due, err := issue(hosts, defaultValidity, time.Now().Add(-defaultValidity*9/10))
	if err != nil {
		t.Fatal(err)
	}
	i := install(t, due, due.ca)
	var out strings.Builder
	if err := i.session(t, &out).renew(t.Context(), renewTLS); err != nil {
		t.Fatal(err)
	}
	got := readSecret(t, i.fakeAPI)
	if err := judge(got.Data, hosts, time.Now()); err != nil || len(got.Data) != 3 {
		t.Errorf("the Secret has %d keys, %v", len(got.Data), err)
	}
	if diff := cmp.Diff(string(got.Data["ca"]), i.bundle(t)); diff != "" {
		t.Errorf("caBundle: %s", diff)
	}
	var steps []string
	for line := range strings.Lines(out.String()) {
		_, step, _ := strings.Cut(strings.NewReplacer("Secret ns/tls ", ": ").Replace(line), ": ")
		steps = append(steps, strings.Fields(step + " .")[0])
	}
	want := []string{"staged", "published", "published", "published", "API", "promoted", "1", "dropped", "dropped", "dropped"}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("%s\n%s", diff, out.String())
	}
}

func TestRenewIsResumedAfterEachStep(t *testing.T) {
	// Each run ends with an error at its nth write. The next one continues.
	for stop := 1; stop <= 8; stop++ {
		due := mustIssue(t, []string{"webhook.ns.svc"}, time.Now())
		i := install(t, due, due.ca)
		writes := 0
		for _, verb := range []string{"create", "update", "patch"} {
			for _, resource := range []string{"secrets", "validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
				i.fail(verb, resource, func() error {
					if writes++; writes == stop {
						return errors.New("killed")
					}
					return nil
				})
			}
		}
		first := i.session(t, io.Discard).renew(t.Context(), renewTLS)
		checkTrusted(t, i)
		if err := i.session(t, io.Discard).renew(t.Context(), renewTLS); err != nil {
			t.Errorf("stopped at write %d (%v): %v", stop, first, err)
		}
		got := readSecret(t, i.fakeAPI)
		if err := judge(got.Data, hosts, time.Now()); err != nil {
			t.Errorf("stopped at write %d: %v", stop, err)
		}
		if diff := cmp.Diff(string(got.Data["ca"]), i.bundle(t)); diff != "" {
			t.Errorf("stopped at write %d: caBundle: %s", stop, diff)
		}
	}
}

// checkTrusted checks that every webhook trusts the certificate that the Secret gives to the
// servers.
func checkTrusted(t *testing.T, i *installation) {
	t.Helper()
	chain := parseValid(readSecret(t, i.fakeAPI).Data[certKey])
	for name, w := range i.hooks(t) {
		if !slices.ContainsFunc(parseValid(w.client.CABundle), func(ca *x509.Certificate) bool { return signs(ca, chain, time.Now()) }) {
			t.Errorf("%s does not trust the certificate of the Secret", name)
		}
	}
}

func TestRenewKeepsTheCAOfAReplicaThatServesTheOldCertificate(t *testing.T) {
	before := mustIssue(t, hosts, time.Now())
	i := install(t, before, before.ca)
	s := i.session(t, io.Discard)
	if _, err := s.servedChain(t.Context(), replica{"10.0.0.9:8443", "webhook.ns.svc"}); err != nil {
		t.Fatal(err)
	}
	i.frozen.Store(true)
	requested := readSecret(t, i.fakeAPI)
	requested.Annotations[RenewAnnotation] = "true"
	if _, err := i.core.Secrets("ns").Update(t.Context(), requested, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.replicaLimit = 500 * time.Millisecond
	err := s.renew(t.Context(), renewTLS)
	want := "not all replicas serve the new certificate: replica 10.0.0.9:8443 serves another certificate: check their logs; the earlier CA stays in the caBundles until a later run"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	renewed := readSecret(t, i.fakeAPI)
	if renewed.Annotations[RenewAnnotation] != "" {
		t.Error("the request for a new certificate is still there")
	}
	if diff := cmp.Diff(string(renewed.Data["ca"])+string(before.ca), i.bundle(t)); diff != "" {
		t.Errorf("caBundle while a replica serves the old certificate: %s", diff)
	}
	i.frozen.Store(false)
	if err := s.renew(t.Context(), renewTLS); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(renewed.Data["ca"]), i.bundle(t)); diff != "" {
		t.Errorf("caBundle after the next run: %s", diff)
	}
}

func TestRenewHealsTheSecret(t *testing.T) {
	before, other := mustIssue(t, hosts, time.Now()), mustIssue(t, []string{"other"}, time.Now())
	mismatch := data(before)
	mismatch["key"] = other.key
	for name, broken := range map[string]map[string][]byte{
		"garbage":                  {"ca": []byte("x"), "cert": []byte("y"), "key": []byte("z")},
		"another installation's":   data(other),
		"key that does not match":  mismatch,
		"empty":                    nil,
		"garbage as staged, valid": withCertificate(data(before), StagedPrefix, data(issuedCertificate{cert: []byte("x")})),
	} {
		t.Run(name, func(t *testing.T) {
			i := install(t, before, before.ca)
			s := i.session(t, io.Discard)
			if _, err := s.servedChain(t.Context(), replica{"10.0.0.9:8443", "webhook.ns.svc"}); err != nil {
				t.Fatal(err)
			}
			if err := i.objects.Update(secrets, secret(broken), "ns"); err != nil {
				t.Fatal(err)
			}
			if err := s.renew(t.Context(), renewTLS); err != nil {
				t.Fatal(err)
			}
			got := readSecret(t, i.fakeAPI)
			if err := judge(got.Data, hosts, time.Now()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(string(got.Data["ca"]), i.bundle(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRenewRepairsTheRegistration(t *testing.T) {
	certificate, foreign := mustIssue(t, hosts, time.Now()), mustIssue(t, hosts, time.Now())
	i := install(t, certificate, foreign.ca)
	for _, kind := range []configurationClient{validatingClient(i.webhooks), mutatingClient(i.webhooks)} {
		n := namedConfiguration{configurationClient: kind, name: "image-webhook"}
		i.setIgnore(t, n)
	}
	if err := i.session(t, io.Discard).renew(t.Context(), renewTLS); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(certificate.ca), i.bundle(t)); diff != "" {
		t.Errorf("caBundle: %s", diff)
	}
	for _, m := range managedConfigurations(i.webhooks) {
		found, err := m.get(t.Context(), m.name, metav1.GetOptions{})
		if m.optional {
			continue
		}
		if err != nil || !found.webhooks[0].has("Fail") {
			t.Errorf("%s: failurePolicy is not Fail, %v", m, err)
		}
	}
}

func TestRenewRespectsIgnore(t *testing.T) {
	certificate := mustIssue(t, hosts, time.Now())
	i := install(t, certificate, certificate.ca)
	s := i.session(t, io.Discard)
	n := namedConfiguration{configurationClient: validatingClient(i.webhooks), name: "image-webhook"}
	if err := errors.Join(s.setPolicy(t.Context(), n, "Ignore"), s.renew(t.Context(), renewTLS)); err != nil {
		t.Fatal(err)
	}
	if found, err := n.get(t.Context(), n.name, metav1.GetOptions{}); err != nil || !found.webhooks[0].has("Ignore") {
		t.Errorf("failurePolicy is not Ignore, %v", err)
	}
}

func TestRenewReportsADeletedConfiguration(t *testing.T) {
	certificate := mustIssue(t, hosts, time.Now())
	i := install(t, certificate, certificate.ca)
	deleted := admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations")
	if err := i.objects.Delete(deleted, "", "image-webhook"); err != nil {
		t.Fatal(err)
	}
	err := i.session(t, io.Discard).renew(t.Context(), renewTLS)
	want := `MutatingWebhookConfiguration image-webhook: mutatingwebhookconfigurations.admissionregistration.k8s.io "image-webhook" not found: apply deploy/05-webhookconfigure.yaml and then deploy/06-patch-webhookconfigure.yaml, which creates it`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestRenewAcceptsThatAPolicyDeniesInsteadOfTheWebhook(t *testing.T) {
	const missing = `ValidatingWebhookConfiguration image-webhook: validatingwebhookconfigurations.admissionregistration.k8s.io "image-webhook" not found, and `
	const remedy = ` not found: apply deploy/05-webhookconfigure.yaml and then deploy/06-patch-webhookconfigure.yaml, or in the hybrid form deploy/hybrid/policy.yaml`
	for _, tt := range []struct {
		name            string
		policy, binding bool
		want            string // the error
	}{
		{"policy and binding", true, true, ""},
		{"no policy", false, true, missing + `validatingadmissionpolicies.admissionregistration.k8s.io "image-webhook"` + remedy},
		{"no binding", true, false, missing + `validatingadmissionpolicybindings.admissionregistration.k8s.io "image-webhook"` + remedy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			certificate := mustIssue(t, hosts, time.Now())
			i := install(t, certificate, certificate.ca)
			err := i.objects.Delete(admissionregistrationv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations"), "", "image-webhook")
			meta := metav1.ObjectMeta{Name: denyingPolicy}
			if tt.policy {
				err = errors.Join(err, i.objects.Add(&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta}))
			}
			if tt.binding {
				err = errors.Join(err, i.objects.Add(&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta}))
			}
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := i.session(t, io.Discard).renew(t.Context(), renewTLS); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// policyCalls are the calls of a run that does not find the configuration of the webhook that denies.
var policyCalls = []call{
	{"get", registrationGroup, "validatingadmissionpolicies", "", denyingPolicy},
	{"get", registrationGroup, "validatingadmissionpolicybindings", "", denyingPolicy},
}

func TestRenewMakesOnlyTheseCallsInTheHybridForm(t *testing.T) {
	certificate := mustIssue(t, hosts, time.Now())
	i := install(t, certificate, certificate.ca)
	meta := metav1.ObjectMeta{Name: denyingPolicy}
	err := errors.Join(i.objects.Delete(admissionregistrationv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations"), "", "image-webhook"),
		i.objects.Add(&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta}),
		i.objects.Add(&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta}))
	if err = errors.Join(err, i.session(t, io.Discard).renew(t.Context(), renewTLS)); err != nil {
		t.Fatal(err)
	}
	checkCalls(t, slices.Concat(configurationCalls("get"), policyCalls, []call{
		{"get", "", "secrets", "ns", "tls"},
		{"list", "discovery.k8s.io", "endpointslices", "ns", ""},
	}), i.calls())
}

func TestRenewNamesEachMissingRight(t *testing.T) {
	// Each error is one line, and the next run with the right heals.
	for _, test := range []struct{ verb, group, resource, want string }{
		{"get", "", "secrets", "Secret ns/tls: "},
		{"update", "", "secrets", "Secret ns/tls: "},
		{"list", "discovery.k8s.io", "endpointslices", "EndpointSlices of Service ns/webhook: "},
		{"get", registrationGroup, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration image-webhook"},
		{"patch", registrationGroup, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration image-webhook: "},
	} {
		t.Run(test.verb+" "+test.resource, func(t *testing.T) {
			before := mustIssue(t, []string{"webhook.ns.svc"}, time.Now())
			i := install(t, before, before.ca)
			denied := true
			i.fail(test.verb, test.resource, func() error {
				if !denied {
					return nil
				}
				return apierrors.NewForbidden(corev1.Resource(test.resource), "x", errors.New("no"))
			})
			err := i.session(t, io.Discard).renew(t.Context(), renewTLS)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || !strings.HasSuffix(err.Error(), "grant this permission as in deploy/02-rbac.yaml") {
				t.Errorf("got %v, want %s...", err, test.want)
			}
			denied = false
			checkTrusted(t, i)
			if err := i.session(t, io.Discard).renew(t.Context(), renewTLS); err != nil {
				t.Errorf("the next run: %v", err)
			}
		})
	}
}

func TestClocksMayDifferByAnHour(t *testing.T) {
	for _, behind := range []time.Duration{0, time.Hour} { // of the clock that issues
		issued := mustIssue(t, hosts, noon.Add(-behind))
		i := install(t, issued, issued.ca)
		before := i.countWrites()
		s := i.session(t, io.Discard)
		s.now = func() time.Time { return noon.Add(behind - time.Hour) }
		if err := s.renew(t.Context(), renewTLS); err != nil {
			t.Error(err)
		}
		if i.countWrites() != before {
			t.Errorf("the clock of the issuer is %s behind: the other run writes", behind)
		}
	}
}

func TestRenewWithoutTheRightToProbe(t *testing.T) {
	certificate := mustIssue(t, hosts, time.Now())
	i := install(t, certificate, certificate.ca)
	n := namedConfiguration{configurationClient: validatingClient(i.webhooks), name: "image-webhook"}
	i.setIgnore(t, n)
	i.refusePods(apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New(`User "renew" cannot create resource "pods"`)))
	err := i.session(t, io.Discard).renew(t.Context(), renewTLS)
	want := `ValidatingWebhookConfiguration image-webhook: failurePolicy Fail not set: API server 10.0.0.1:6443 after 20ms: pods in namespace ns-probe: ` +
		`pods is forbidden: User "renew" cannot create resource "pods": grant this permission as in deploy/02-rbac.yaml`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestRenewMakesOnlyTheseCalls(t *testing.T) {
	before := mustIssue(t, []string{"webhook.ns.svc"}, time.Now())
	i := install(t, before, before.ca)
	n := namedConfiguration{configurationClient: validatingClient(i.webhooks), name: "image-webhook"}
	i.setIgnore(t, n)
	if err := i.session(t, io.Discard).renew(t.Context(), renewTLS); err != nil {
		t.Fatal(err)
	}
	want := append(configurationCalls("get"), []call{
		{"get", "", "secrets", "ns", "tls"},
		{"update", "", "secrets", "ns", "tls"},
		{"list", "discovery.k8s.io", "endpointslices", "ns", ""},
		{"create", "", "pods", "ns-probe", ""},
		{"patch", registrationGroup, "validatingwebhookconfigurations", "", "image-webhook"},
		{"patch", registrationGroup, "validatingwebhookconfigurations", "", "image-webhook-warnings"},
		{"patch", registrationGroup, "mutatingwebhookconfigurations", "", "image-webhook"},
	}...)
	checkCalls(t, want, i.calls())
}
