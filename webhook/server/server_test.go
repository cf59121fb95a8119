package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// running is a server at work.
type running struct {
	*Server
	url    string
	pair   servertest.KeyPair
	client *http.Client
	stop   context.CancelFunc
	ended  chan error
}

// start serves the handlers to everybody, with a new key pair until the test ends.
func start(t *testing.T, handlers map[string]http.Handler, log *slog.Logger, change ...func(*Server)) *running {
	t.Helper()
	return startFor(t, nil, handlers, log, change...)
}

// startFor serves the handlers to some clients.
func startFor(t *testing.T, clients *Clients, handlers map[string]http.Handler, log *slog.Logger, change ...func(*Server)) *running {
	t.Helper()
	pair := servertest.New(t, t.TempDir())
	s := New(handlers, load(t, pair, log), clients, log)
	for _, c := range change {
		c(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{s, "https://" + l.Addr().String(), pair, pair.Client(t), stop, make(chan error, 1)}
	go func() { r.ended <- s.Serve(ctx, l) }()
	t.Cleanup(stop)
	return r
}

func load(t *testing.T, pair servertest.KeyPair, log *slog.Logger) *Certificate {
	t.Helper()
	cert, err := LoadCertificate(pair.CertFile, pair.KeyFile, log)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// get returns the status and the body of an answer.
func (r *running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.Proto != "HTTP/1.1" {
		t.Errorf("answered with %s", resp.Proto)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// fetch returns the body of an answer, or the error in its place. Unlike get
// it may be called by any goroutine.
func (r *running) fetch(path string) string {
	resp, err := r.client.Get(r.url + path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") }

func TestPaths(t *testing.T) {
	r := start(t, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler))
	tests := []struct {
		path   string
		status int
		body   string
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 200, "ok\n"},
		{"/hello", 200, "hello\n"},
		{"/", 404, "404 page not found\n"},
		{"/hello/", 404, "404 page not found\n"},
		{"/metrics", 404, "404 page not found\n"},
	}
	for _, tt := range tests {
		if status, body := r.get(t, tt.path); status != tt.status || body != tt.body {
			t.Errorf("GET %s: %d %q, want %d %q", tt.path, status, body, tt.status, tt.body)
		}
	}
}

// A connection that the server closes may carry a request already, which the API server
// would not send again: so the server leaves it to the client.
func TestServeLeavesItToClientsToClose(t *testing.T) {
	r := start(t, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler),
		func(s *Server) { s.farewell = time.Minute })
	if body := r.fetch("/hello"); body != "hello\n" {
		t.Fatal(body)
	}
	r.stop()
	for !r.draining.Load() {
		runtime.Gosched()
	}
	reused := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/hello", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatalf("on a connection from before: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); !reused || !resp.Close || string(body) != "hello\n" || err != nil {
		t.Errorf("connection reused: %t, to be closed: %t, body %q, %v", reused, resp.Close, body, err)
	}
	// Nobody is left to wait for.
	if err := <-r.ended; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestServeStops(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		hello(w, r)
	})
	r := start(t, map[string]http.Handler{"/slow": slow}, slog.New(slog.DiscardHandler),
		func(s *Server) { s.farewell = time.Millisecond })
	answered := make(chan string, 1)
	go func() { answered <- r.fetch("/slow") }()
	<-arrived

	stopping := make(chan struct{})
	r.http.RegisterOnShutdown(func() { close(stopping) })
	r.stop()
	<-stopping
	w := httptest.NewRecorder()
	r.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != "draining\n" {
		t.Errorf("while draining /readyz is %d %q", w.Code, w.Body)
	}

	close(release)
	if body := <-answered; body != "hello\n" {
		t.Errorf("the request under way was answered %q", body)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestServeCutsOff(t *testing.T) {
	arrived := make(chan struct{})
	endless := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	r := start(t, map[string]http.Handler{"/endless": endless}, slog.New(slog.DiscardHandler),
		func(s *Server) { s.farewell, s.drain = time.Millisecond, time.Millisecond })
	answered := make(chan string, 1)
	go func() { answered <- r.fetch("/endless") }()
	<-arrived
	r.stop()
	if err := <-r.ended; err == nil || err.Error() != "cut off the requests that took longer than 1ms to end" {
		t.Errorf("Serve ended with %v", err)
	}
	if body := <-answered; !strings.HasSuffix(body, "EOF") {
		t.Errorf("the request was answered %q", body)
	}
}

func TestServeFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	log := slog.New(slog.DiscardHandler)
	s := New(nil, load(t, servertest.New(t, t.TempDir()), log), nil, log)
	if err := s.Serve(t.Context(), l); err == nil || !strings.HasPrefix(err.Error(), "serve on 127.0.0.1:") {
		t.Errorf("Serve ended with %v", err)
	}
}

// dial returns the serial number of the certificate that a new connection is
// shown.
func (r *running) dial(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	first := servertest.New(t, dir)
	var logged buffer
	cert := load(t, first, slog.New(slog.NewTextHandler(&logged, nil)))
	var now clock
	cert.pair.now = now.get
	r := &running{Server: New(nil, cert, nil, slog.New(slog.DiscardHandler)), ended: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "https://" + l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	go func() { r.ended <- r.Serve(ctx, l) }()

	now.add(t, recheck)
	expect(t, "unchanged files", r.dial(t), first)
	second := servertest.New(t, dir)
	expect(t, "within the second", r.dial(t), first)
	now.add(t, recheck)
	expect(t, "changed files", r.dial(t), second)

	truncate(t, second.KeyFile)
	for range 3 {
		now.add(t, recheck)
		expect(t, "a broken key", r.dial(t), second)
	}
	remove(t, second.CertFile)
	now.add(t, recheck)
	expect(t, "no certificate", r.dial(t), second)
	third := servertest.New(t, dir)
	now.add(t, recheck)
	expect(t, "good files again", r.dial(t), third)

	stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	want := []string{"reloaded the certificate", "keeping the old certificate", "keeping the old certificate", "reloaded the certificate"}
	if diff := cmp.Diff(want, logged.messages()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func expect(t *testing.T, when, serial string, want servertest.KeyPair) {
	t.Helper()
	if serial != want.Leaf.SerialNumber.String() {
		t.Errorf("%s: served %s, want %s", when, serial, want.Leaf.SerialNumber)
	}
}

func truncate(t *testing.T, file string) {
	t.Helper()
	if err := os.Truncate(file, 40); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func TestLoadCertificate(t *testing.T) {
	good, other := servertest.New(t, t.TempDir()), servertest.New(t, t.TempDir())
	missing := t.TempDir() + "/none"
	empty := t.TempDir() + "/empty"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	tests := []struct{ name, cert, key, want string }{
		{"good", good.CertFile, good.KeyFile, ""},
		{"no certificate", missing, good.KeyFile, "stat " + missing + ": no such file or directory"},
		{"no key", good.CertFile, missing, "stat " + missing + ": no such file or directory"},
		{"not a pair", good.CertFile, other.KeyFile, good.CertFile + " with " + other.KeyFile + ": tls: private key does not match public key"},
		{"empty files", empty, empty, empty + " with " + empty + ": tls: failed to find any PEM data in certificate input"},
		{"a device", "/dev/zero", good.KeyFile, "/dev/zero is no file of at most 1 MiB"},
		{"a folder", folder, good.KeyFile, folder + " is no file of at most 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadCertificate(tt.cert, tt.key, slog.New(slog.DiscardHandler))
			var got string
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
}

// The limits cannot be waited for in a test; that they are there can be seen.
func TestLimits(t *testing.T) {
	pair := servertest.New(t, t.TempDir())
	h := New(nil, load(t, pair, slog.New(slog.DiscardHandler)), nil, slog.New(slog.DiscardHandler)).http
	if h.ReadTimeout <= 0 || h.ReadHeaderTimeout <= 0 || h.WriteTimeout <= 0 || h.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", h)
	}
	if h.IdleTimeout <= 90*time.Second {
		t.Errorf("idle connections end after %s, before the API server gives them up", h.IdleTimeout)
	}
	if h.Protocols.HTTP2() || !h.Protocols.HTTP1() {
		t.Errorf("protocols %v, want HTTP/1 alone", h.Protocols)
	}
}

func TestErrorLog(t *testing.T) {
	tests := []struct {
		line  string
		level string
	}{
		{"http: TLS handshake error from 10.0.0.1:4711: EOF", "DEBUG"},
		{"http: TLS handshake error from 10.0.0.1:4711: read tcp 10.0.0.2:8443->10.0.0.1:4711: read: connection reset by peer", "DEBUG"},
		{"http: TLS handshake error from 10.0.0.1:4711: remote error: tls: bad certificate", "WARN"},
		{"http: panic serving 10.0.0.1:4711: EOF", "WARN"},
	}
	for _, tt := range tests {
		var logged bytes.Buffer
		log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if n, err := (errorWriter{log}).Write([]byte(tt.line + "\n")); n != len(tt.line)+1 || err != nil {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
		if !strings.Contains(logged.String(), "level="+tt.level+" ") {
			t.Errorf("%q is logged as %s", tt.line, &logged)
		}
	}
}

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) get() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(t *testing.T, d time.Duration) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.IsZero() {
		c.now = time.Now()
	}
	c.now = c.now.Add(d)
}

// buffer can be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// messages returns the msg attribute of every line.
func (b *buffer) messages() []string {
	var found []string
	for line := range strings.Lines(b.String()) {
		_, rest, _ := strings.Cut(line, `msg="`)
		msg, _, _ := strings.Cut(rest, `"`)
		found = append(found, msg)
	}
	return found
}
