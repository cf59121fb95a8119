package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

const testLimit = 8

// limitConnections is an option of start.
func limitConnections(s *Server) { s.connections.limit = testLimit }

// dialFrom opens n connections from an address, which are closed after the test. They send nothing.
func (r *runningServer) dialFrom(t *testing.T, address string, n int) (opened []net.Conn) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	for range n {
		conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		opened = append(opened, conn)
	}
	return opened
}

// isReused reports whether a request uses a connection that was open before.
func (r *runningServer) isReused(t *testing.T, client *http.Client) bool {
	t.Helper()
	reused := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/hello", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("request during the flood: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return reused
}

// waitClosed waits until the server has closed a connection.
func waitClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the server has not closed the connection")
	}
}

func TestConnectionFloodClosesItsOwnConnections(t *testing.T) {
	r := start(t, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler), limitConnections)
	r.isReused(t, r.client)
	flood := r.dialFrom(t, "127.0.0.2", 3*testLimit)
	if !r.isReused(t, r.client) {
		t.Error("the connection of the other client was closed")
	}
	r.client.CloseIdleConnections()
	if r.isReused(t, r.client) {
		t.Error("the connection was not closed")
	}
	for _, conn := range flood[:testLimit] { // the oldest
		waitClosed(t, conn)
	}
	if got := r.Stats(); got.Open > testLimit || got.Limit != testLimit || got.Closed < 2*testLimit {
		t.Errorf("got %+v, want at most %d open connections, and at least %d closed ones", got, testLimit, 2*testLimit)
	}
}

func TestConnectionFloodIsClosedBeforeTheHandshake(t *testing.T) {
	r := start(t, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler), limitConnections,
		func(s *Server) { s.connections.replacements.SetLimit(0); s.connections.replacements.SetBurst(0) })
	r.isReused(t, r.client)
	flood := r.dialFrom(t, "127.0.0.2", 3*testLimit)
	for _, conn := range flood[testLimit:] {
		waitClosed(t, conn)
	}
	for _, client := range []*http.Client{r.client, r.pair.Client(t)} { // the flood stays greedy
		r.isReused(t, client)
	}
}

func TestConnectionFloodOfStrangersSparesTrustedClients(t *testing.T) {
	ca := servertest.NewCA(t, t.TempDir())
	log := slog.New(slog.DiscardHandler)
	r := startForClients(t, loadClients(t, ca, log), map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, log, limitConnections)
	trusted := make([]*http.Client, testLimit-1)
	for i := range trusted {
		trusted[i] = r.pair.Client(t, ca.Issue(t, x509.ExtKeyUsageClientAuth))
		r.isReused(t, trusted[i])
	}
	// The strangers have the same address, and far fewer connections at any time.
	for _, conn := range r.dialFrom(t, "127.0.0.1", 2*testLimit)[:testLimit] {
		waitClosed(t, conn)
	}
	for _, client := range trusted {
		if !r.isReused(t, client) {
			t.Error("the connection of a trusted client was closed")
		}
	}
}

func TestConnectionsClosesTheConnectionThatLosesLeast(t *testing.T) {
	flood, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	tests := []struct {
		name string
		open []*connection // the first one is closed
	}{
		{"a stranger", []*connection{{host: other, changed: 9}, {host: flood, trusted: true, changed: 1}, {host: flood, trusted: true, changed: 2}}},
		{"of the host with most connections", []*connection{{host: flood, changed: 8}, {host: flood, changed: 9}, {host: other, changed: 1}}},
		{"that is idle", []*connection{{host: flood, state: http.StateIdle, changed: 9}, {host: flood, state: http.StateActive, changed: 1}, {host: other}}},
		{"that has sent no request", []*connection{{host: flood, state: http.StateNew, changed: 9}, {host: flood, state: http.StateActive, changed: 1}, {host: other}}},
		{"that has waited longest", []*connection{{host: flood, changed: 1}, {host: flood, changed: 2}, {host: other}}},
		{"of a flood that sends bodies slowly", []*connection{{host: flood, state: http.StateActive, changed: 1}, {host: flood, state: http.StateActive, changed: 2}, {host: other}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := openConnections(testLimit, tt.open)
			if got := c.victim(); got != tt.open[0] {
				t.Errorf("got %+v, want %+v", got, tt.open[0])
			}
		})
	}
}

// openConnections returns connections of which some are open.
func openConnections(limit int, open []*connection) *connections {
	c := newConnections(maxConnections, slog.New(slog.DiscardHandler))
	c.limit = limit
	for _, x := range open {
		x.conn = &tls.Conn{}
		c.open[x.conn] = x
		c.byHost[x.host]++
	}
	return c
}

func TestManyHostsDoNotReplaceTheConnectionsOfTheAPIServer(t *testing.T) {
	apiServer := netip.MustParseAddr("10.0.0.1")
	open := []*connection{{host: netip.MustParseAddr("10.1.0.1"), changed: 1}}
	for i := range uint64(25) {
		open = append(open, &connection{host: apiServer, state: http.StateIdle, changed: 100 + i})
	}
	c := openConnections(maxConnections, open)
	if got := c.victim(); got != open[0] {
		t.Errorf("got %+v, want %+v", got, open[0])
	}
	if c.isGreedy(apiServer) {
		t.Error("the API server is greedy")
	}
}

func TestConnectionsForgetsClosedConnections(t *testing.T) {
	r := start(t, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler), limitConnections)
	r.isReused(t, r.client)
	for _, conn := range r.dialFrom(t, "127.0.0.2", 3*testLimit) {
		_ = conn.Close()
	}
	r.client.CloseIdleConnections()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(0, r.Stats().Open+len(r.connections.byHost)); diff != "" {
		t.Errorf("after the shutdown (-want +got):\n%s", diff)
	}
}

func TestHandshakeIsLimited(t *testing.T) {
	ca := servertest.NewCA(t, t.TempDir())
	log := slog.New(slog.DiscardHandler)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	r := startForClients(t, loadClients(t, ca, log), map[string]http.Handler{"/echo": echo}, log)
	certificate := ca.Issue(t, x509.ExtKeyUsageClientAuth)
	long := certificate
	for size := 0; size <= 64<<10; size += len(certificate.Certificate[0]) {
		long.Certificate = append(slices.Clip(long.Certificate), certificate.Certificate[0])
	}
	if _, err := r.pair.Client(t, long).Get(r.url + "/echo"); err == nil {
		t.Error("a handshake that is too large succeeded")
	}
	// Requests after the handshake may be larger.
	body := strings.Repeat("x", 128<<10)
	resp, err := r.pair.Client(t, certificate).Post(r.url+"/echo", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.ReadAll(resp.Body); string(got) != body || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(body))
	}
}
