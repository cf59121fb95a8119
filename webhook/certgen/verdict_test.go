package certgen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// The answers of a real API server to the probe pod; see e2e/integration/renew_test.go.
var (
	denial    = apierrors.NewForbidden(corev1.Resource("pods"), "probe-x", errors.New(`admission webhook "v.dev" denied the request: container "probe" (spec.containers[0].image) uses image "image-webhook.dev/Probe": invalid reference`))
	overQuota = apierrors.NewForbidden(corev1.Resource("pods"), "probe-x", errors.New("exceeded quota: no-pods, requested: pods=1, used: pods=0, limited: pods=0"))
)

// refusePods makes the API server refuse pods with an error; nil: it admits them.
func (api fakeAPI) refusePods(err error) {
	api.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, &corev1.Pod{}, err })
}

func TestVerdictNeedsTheWebhooksDenial(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		want   string // start of the error; empty: none
	}{
		"denied by the webhook": {answer: denial},
		"refused by the quota":  {overQuota, "it gets no verdict from the webhook"},
		"quota not computed yet": {
			apierrors.NewForbidden(corev1.Resource("pods"), "x", errors.New("status unknown for quota: no-pods, resources: pods")),
			"it gets no verdict from the webhook",
		},
		"admitted": {nil, "it gets no verdict from the webhook"},
		"no namespace": {
			apierrors.NewNotFound(corev1.Resource("namespaces"), "ns-probe"),
			`pods in namespace ns-probe: namespaces "ns-probe" not found: apply deploy/01-namespace.yaml, which creates it`,
		},
		"no permission": {
			apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New(`User "u" cannot create resource "pods" in API group "" in the namespace "ns-probe"`)),
			`pods in namespace ns-probe: pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "ns-probe": grant this permission as in deploy/02-rbac.yaml`,
		},
		"denied by the policy of the hybrid form": {
			apierrors.NewForbidden(corev1.Resource("pods"), "x", errors.New(`ValidatingAdmissionPolicy 'image-webhook' with binding 'image-webhook' denied request: container "probe" (spec.containers[0].image) uses image "image-webhook.dev/Probe": invalid reference`)),
			`a policy refused a probe pod in namespace ns-probe before the webhook's verdict: pods "x" is forbidden: ValidatingAdmissionPolicy 'image-webhook' with binding 'image-webhook' denied request: container "probe" (spec.containers[0].image) uses image "image-webhook.dev/Probe": invalid reference: exclude ns-probe in the bindings of the policy`,
		},
		"denied by another webhook": {
			apierrors.NewForbidden(corev1.Resource("pods"), "x", errors.New(`admission webhook "other.dev" denied the request: no`)),
			`a probe pod in namespace ns-probe was refused before the webhook's verdict: pods "x" is forbidden: admission webhook "other.dev" denied the request: no`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t)
			api.refusePods(test.answer)
			got := ""
			if err := (apiServer{"a", api.apiClients}).checkVerdict(t.Context(), "ns-probe"); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDiagnosisNamesTheCause(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, test := range map[string]struct {
		dial Dial
		ca   []byte
		want string
	}{
		"answers":         {serve(t, fresh, status(http.StatusBadRequest)), fresh.ca, "the webhook answers this pod: check what is between"},
		"401":             {serve(t, fresh, status(http.StatusUnauthorized)), fresh.ca, "the webhook answers 401 to callers without a client certificate, because of its flag --client-ca-file"},
		"404":             {serve(t, fresh, status(http.StatusNotFound)), fresh.ca, `the webhook has no path "/validating": apply deploy/05-webhookconfigure.yaml`},
		"another CA":      {serve(t, fresh, status(http.StatusOK)), mustIssue(t, hosts, time.Now()).ca, "the webhook does not answer this pod either: "},
		"does not listen": {dialTo(closedPort(t)), fresh.ca, "the webhook does not answer this pod either: "},
	} {
		t.Run(name, func(t *testing.T) {
			hook := webhook{name: "v.dev", client: serviceClientConfig()}
			hook.client.CABundle = test.ca
			hook.client.Service.Path = new("/validating")
			got := session{dial: test.dial}.diagnose(configuration{webhooks: []webhook{hook}})
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// serve starts a server with the certificate and returns a function that connects to it for every
// address.
func serve(t *testing.T, certificate issuedCertificate, handler http.HandlerFunc) Dial {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate.cert, certificate.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are expected
	server.StartTLS()
	t.Cleanup(server.Close)
	return dialTo(server.Listener.Addr().String())
}

func dialTo(address string) Dial {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestWebhookHasHostAndAddress(t *testing.T) {
	named := func(port *int32) webhook {
		reference := &admissionregistrationv1.ServiceReference{Name: "a", Namespace: "ns", Port: port}
		return webhook{client: admissionregistrationv1.WebhookClientConfig{Service: reference}}
	}
	external := webhook{client: admissionregistrationv1.WebhookClientConfig{URL: new("https://example.org:9443/validating?x=y")}}
	for _, test := range []struct {
		webhook webhook
		want    [2]string
	}{
		{named(nil), [2]string{"a.ns.svc", "a.ns.svc:443"}},
		{named(new(int32(8443))), [2]string{"a.ns.svc", "a.ns.svc:8443"}},
		{external, [2]string{"example.org", "example.org:9443"}},
		{webhook{}, [2]string{}},
	} {
		if diff := cmp.Diff(test.want, [2]string{test.webhook.host(), test.webhook.address()}); diff != "" {
			t.Error(diff)
		}
	}
}
