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

// serve starts a server with the certificate and returns a prober that connects to it
// for every host name.
func serve(t *testing.T, certificate issuedCertificate, handler http.HandlerFunc) *prober {
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
	return proberFor(server.Listener.Addr().String())
}

func proberFor(address string) *prober {
	return &prober{
		timeout:  30 * time.Second,
		interval: time.Millisecond,
		progress: io.Discard,
		dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}

func (p *prober) withTimeout(d time.Duration) *prober {
	p.timeout = d
	return p
}

func serveReadyz(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/readyz" || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNotFound)
	}
}

var serviceURLs = []string{"https://webhook.ns.svc:443/readyz"}

func TestProberAcceptsOnlyAReadyServerUnderTheCA(t *testing.T) {
	now := time.Now()
	fresh, other := mustIssue(t, hosts, now), mustIssue(t, hosts, now)
	for name, test := range map[string]struct {
		prober *prober
		ca     []byte
		want   string // part of the error; empty: none
	}{
		"ready with the CA": {
			prober: serve(t, fresh, serveReadyz), ca: fresh.ca,
		},
		"ready with the earlier CA of the bundle": {
			prober: serve(t, fresh, serveReadyz), ca: append(append([]byte{}, other.ca...), fresh.ca...),
		},
		"another CA": {
			prober: serve(t, fresh, serveReadyz).withTimeout(50 * time.Millisecond), ca: other.ca,
			want: "certificate signed by unknown authority",
		},
		"another host name": {
			prober: serve(t, mustIssue(t, []string{"elsewhere"}, now), serveReadyz).withTimeout(50 * time.Millisecond), ca: fresh.ca,
			want: "certificate",
		},
		"not ready": {
			prober: serve(t, fresh, http.NotFound).withTimeout(50 * time.Millisecond), ca: fresh.ca,
			want: "GET https://webhook.ns.svc:443/readyz: got status 404 Not Found, want 200",
		},
		"redirect": {
			prober: serve(t, fresh, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}).withTimeout(50 * time.Millisecond), ca: fresh.ca,
			want: "got status 302 Found, want 200",
		},
		"no server": {
			prober: proberFor(closedPort(t)).withTimeout(50 * time.Millisecond), ca: fresh.ca,
			want: "connection refused",
		},
		"invalid bundle": {
			prober: proberFor(""), ca: []byte("x"),
			want: "text that is not PEM",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.prober.waitUntilReady(t.Context(), serviceURLs, test.ca)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want %s", err, test.want)
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

func TestProberReportsProgressUntilReady(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	var requests atomic.Int32
	p := serve(t, fresh, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var progress strings.Builder
	p.progress = &progress
	if err := p.waitUntilReady(t.Context(), serviceURLs, fresh.ca); err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("waiting for the server (0s of 30s): GET https://webhook.ns.svc:443/readyz: got status 503 Service Unavailable, want 200\n", 2) +
		"https://webhook.ns.svc:443/readyz answers\n"
	if diff := cmp.Diff(want, progress.String()); diff != "" {
		t.Error(diff)
	}
}

func TestProberStopsWhenInterrupted(t *testing.T) {
	fresh := mustIssue(t, hosts, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	p := serve(t, fresh, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	})
	p.interval = time.Hour
	err := p.waitUntilReady(ctx, serviceURLs, fresh.ca)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got error %v, want interrupted", err)
	}
}

func TestReadyzURLsAreDistinct(t *testing.T) {
	service := func(name string, port *int32) webhookUpdate {
		reference := &admissionregistrationv1.ServiceReference{Name: name, Namespace: "ns", Port: port}
		return webhookUpdate{webhook: webhook{client: admissionregistrationv1.WebhookClientConfig{Service: reference}}}
	}
	external := func(url string) webhookUpdate {
		return webhookUpdate{webhook: webhook{client: admissionregistrationv1.WebhookClientConfig{URL: &url}}}
	}
	port := int32(8443)
	got := readyzURLs([]webhookUpdate{service("a", nil), service("a", nil), service("a", &port), external("https://example.org:9443/validating?x=y")})
	want := []string{"https://a.ns.svc:443/readyz", "https://a.ns.svc:8443/readyz", "https://example.org:9443/readyz"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
