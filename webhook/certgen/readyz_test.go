package certgen

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// serve answers every name over TLS with this certificate, and returns the way
// there.
func serve(t *testing.T, i issued, handler http.HandlerFunc) *prover {
	t.Helper()
	pair, err := tls.X509KeyPair(i.cert, i.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	t.Cleanup(server.Close)
	return proverTo(server.Listener.Addr().String())
}

func proverTo(address string) *prover {
	return &prover{
		timeout:  30 * time.Second,
		interval: time.Millisecond,
		progress: io.Discard,
		dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}

func (p *prover) within(d time.Duration) *prover {
	p.timeout = d
	return p
}

func ready(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/readyz" || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNotFound)
	}
}

var inService = []string{"https://webhook.ns.svc:443/readyz"}

func TestProve(t *testing.T) {
	now := time.Now()
	fresh, other := mustIssue(t, hosts, now), mustIssue(t, hosts, now)
	for name, test := range map[string]struct {
		prover *prover
		ca     []byte
		want   string
	}{
		"ready under the CA": {
			prover: serve(t, fresh, ready), ca: fresh.ca,
		},
		"ready under the older CA of the bundle": {
			prover: serve(t, fresh, ready), ca: append(append([]byte{}, other.ca...), fresh.ca...),
		},
		"another CA": {
			prover: serve(t, fresh, ready).within(50 * time.Millisecond), ca: other.ca,
			want: "certificate signed by unknown authority",
		},
		"another name": {
			prover: serve(t, mustIssue(t, []string{"elsewhere"}, now), ready).within(50 * time.Millisecond), ca: fresh.ca,
			want: "certificate",
		},
		"not ready": {
			prover: serve(t, fresh, http.NotFound).within(50 * time.Millisecond), ca: fresh.ca,
			want: "GET https://webhook.ns.svc:443/readyz: 404 Not Found instead of 200",
		},
		"a redirect is no answer": {
			prover: serve(t, fresh, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}).within(50 * time.Millisecond), ca: fresh.ca,
			want: "302 Found instead of 200",
		},
		"nobody there": {
			prover: proverTo(closedPort(t)).within(50 * time.Millisecond), ca: fresh.ca,
			want: "connection refused",
		},
		"no bundle": {
			prover: proverTo(""), ca: []byte("x"),
			want: "text that is not PEM",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.prover.all(t.Context(), inService, test.ca)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
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

func TestProveWaitsUntilReadyAndSaysSo(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	var asked atomic.Int32
	p := serve(t, fresh, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var progress strings.Builder
	p.progress = &progress
	if err := p.all(t.Context(), inService, fresh.ca); err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("waiting for the server (0s of 30s): GET https://webhook.ns.svc:443/readyz: 503 Service Unavailable instead of 200\n", 2) +
		"https://webhook.ns.svc:443/readyz answers\n"
	if diff := cmp.Diff(want, progress.String()); diff != "" {
		t.Error(diff)
	}
}

func TestProveEndsWhenInterrupted(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	p := serve(t, fresh, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	})
	p.interval = time.Hour
	err := p.all(ctx, inService, fresh.ca)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestTargets(t *testing.T) {
	service := func(name string, port *int32) change {
		reference := &admissionregistrationv1.ServiceReference{Name: name, Namespace: "ns", Port: port}
		return change{webhook: webhook{client: admissionregistrationv1.WebhookClientConfig{Service: reference}}}
	}
	at := func(url string) change {
		return change{webhook: webhook{client: admissionregistrationv1.WebhookClientConfig{URL: &url}}}
	}
	port := int32(8443)
	got := targets([]change{service("a", nil), service("a", nil), service("a", &port), at("https://example.org:9443/validating?x=y")})
	want := []string{"https://a.ns.svc:443/readyz", "https://a.ns.svc:8443/readyz", "https://example.org:9443/readyz"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
