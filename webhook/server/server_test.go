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
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/reload"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// runningServer is a server that serves until stop is called.
type runningServer struct {
	*Server
	url    string
	pair   servertest.KeyPair
	client *http.Client
	stop   context.CancelFunc
	ended  chan error // receives the result of Serve
}

// start serves the handlers to all callers, with a new key pair.
func start(t *testing.T, handlers map[string]http.Handler, log *slog.Logger, options ...func(*Server)) *runningServer {
	t.Helper()
	return startForClients(t, nil, handlers, log, options...)
}

// startForClients serves the handlers to the clients.
func startForClients(t *testing.T, clients *Clients, handlers map[string]http.Handler, log *slog.Logger, options ...func(*Server)) *runningServer {
	t.Helper()
	pair := servertest.New(t, t.TempDir())
	s := New(Config{Handlers: handlers, Certificate: loadCertificate(t, pair, log), Clients: clients, Log: log})
	for _, apply := range options {
		apply(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &runningServer{s, "https://" + l.Addr().String(), pair, pair.Client(t), stop, make(chan error, 1)}
	go func() { r.ended <- s.Serve(ctx, l) }()
	t.Cleanup(stop)
	return r
}

func loadCertificate(t *testing.T, pair servertest.KeyPair, log *slog.Logger) *Certificate {
	t.Helper()
	cert, err := LoadCertificate(pair.CertFile, pair.KeyFile, log)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// get returns the status and the body of a response.
func (r *runningServer) get(t *testing.T, path string) (int, string) {
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
		t.Errorf("got protocol %s, want HTTP/1.1", resp.Proto)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// fetch returns the body of a response, or the error text. Unlike get, it can be called
// from any goroutine.
func (r *runningServer) fetch(path string) string {
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

func TestServerServesHandlersAndProbes(t *testing.T) {
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
			t.Errorf("GET %s: got %d %q, want %d %q", tt.path, status, body, tt.status, tt.body)
		}
	}
}

func TestServeLetsClientsCloseConnections(t *testing.T) {
	r := start(t, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler),
		func(s *Server) { s.closeTimeout = time.Hour })
	if body := r.fetch("/hello"); body != "hello\n" {
		t.Fatal(body)
	}
	r.stop()
	for !r.draining.Load() {
		runtime.Gosched()
	}
	// First on the connection that is open, then on a new one.
	for _, wantReused := range []bool{true, false} {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/hello", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatalf("request during the shutdown: %v", err)
		}
		body, err := io.ReadAll(resp.Body)
		if reused != wantReused || !resp.Close || string(body) != "hello\n" || err != nil {
			t.Errorf("got connection reused: %t, close requested: %t, body %q, error %v", reused, resp.Close, body, err)
		}
		_ = resp.Body.Close()
	}
}

func TestServeEndsAtOnceIfNoClientIsConnected(t *testing.T) {
	r := start(t, nil, slog.New(slog.DiscardHandler), func(s *Server) { s.closeTimeout = time.Hour })
	r.get(t, "/healthz")
	r.client.CloseIdleConnections()
	for r.Stats().Open > 0 {
		runtime.Gosched()
	}
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestServeAnswersRequestsInFlight(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		hello(w, r)
	})
	r := start(t, map[string]http.Handler{"/slow": slow}, slog.New(slog.DiscardHandler),
		func(s *Server) { s.closeTimeout = time.Millisecond })
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
		t.Errorf("GET /readyz during the shutdown: got %d %q, want 503 draining", w.Code, w.Body)
	}

	close(release)
	if body := <-answered; body != "hello\n" {
		t.Errorf("request in flight: got %q, want hello", body)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestServeAbortsSlowRequests(t *testing.T) {
	arrived := make(chan struct{})
	endless := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	r := start(t, map[string]http.Handler{"/endless": endless}, slog.New(slog.DiscardHandler),
		func(s *Server) { s.closeTimeout, s.drainTimeout = time.Millisecond, time.Millisecond })
	answered := make(chan string, 1)
	go func() { answered <- r.fetch("/endless") }()
	<-arrived
	r.stop()
	if err := <-r.ended; err == nil || err.Error() != "shutdown: aborted the requests that were not answered within 1ms" {
		t.Errorf("Serve returned %v", err)
	}
	if body := <-answered; !strings.HasSuffix(body, "EOF") {
		t.Errorf("aborted request: got %q, want EOF", body)
	}
}

func TestServeFailsOnAClosedListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	log := slog.New(slog.DiscardHandler)
	s := New(Config{Certificate: loadCertificate(t, servertest.New(t, t.TempDir()), log), Log: log})
	if err := s.Serve(t.Context(), l); err == nil || !strings.HasPrefix(err.Error(), "serve on 127.0.0.1:") {
		t.Errorf("Serve returned %v", err)
	}
}

// servedSerial returns the serial number of the certificate of a new connection.
func (r *runningServer) servedSerial(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestCertificateIsReloadedWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	first := servertest.New(t, dir)
	var logged servertest.LockedBuffer
	cert := loadCertificate(t, first, slog.New(slog.NewTextHandler(&logged, nil)))
	var now clock
	cert.pair.Now = now.get
	r := &runningServer{Server: New(Config{Certificate: cert, Log: slog.New(slog.DiscardHandler)}), ended: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "https://" + l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	go func() { r.ended <- r.Serve(ctx, l) }()

	now.add(t, reload.CheckInterval)
	checkSerial(t, "unchanged files", r.servedSerial(t), first)
	second := servertest.New(t, dir)
	checkSerial(t, "changed files, before the next check", r.servedSerial(t), first)
	now.add(t, reload.CheckInterval)
	checkSerial(t, "changed files", r.servedSerial(t), second)

	truncate(t, second.KeyFile)
	for range 3 {
		now.add(t, reload.CheckInterval)
		checkSerial(t, "truncated key", r.servedSerial(t), second)
	}
	remove(t, second.CertFile)
	now.add(t, reload.CheckInterval)
	checkSerial(t, "missing certificate", r.servedSerial(t), second)
	if diff := cmp.Diff(reload.Reloads{Succeeded: 1, Failed: 2, Failing: true}, cert.Reloads()); diff != "" {
		t.Errorf("reloads (-want +got):\n%s", diff)
	}
	third := servertest.New(t, dir)
	now.add(t, reload.CheckInterval)
	if diff := cmp.Diff(reload.Reloads{Succeeded: 2, Failed: 2}, cert.Reloads()); diff != "" { // loads the files
		t.Errorf("reloads (-want +got):\n%s", diff)
	}
	checkSerial(t, "valid files again", r.servedSerial(t), third)
	if left := time.Until(cert.NotAfter()); left <= 0 {
		t.Errorf("the certificate expires in %s", left)
	}

	stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	want := []string{"reloaded the certificate", "keeping the old certificate", "keeping the old certificate", "reloaded the certificate"}
	if diff := cmp.Diff(want, logMessages(&logged)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func checkSerial(t *testing.T, situation, serial string, want servertest.KeyPair) {
	t.Helper()
	if serial != want.Leaf.SerialNumber.String() {
		t.Errorf("%s: got serial number %s, want %s", situation, serial, want.Leaf.SerialNumber)
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

func TestLoadCertificateNamesFileAndCause(t *testing.T) {
	valid, other := servertest.New(t, t.TempDir()), servertest.New(t, t.TempDir())
	missing := t.TempDir() + "/none"
	empty := t.TempDir() + "/empty"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	tests := []struct{ name, cert, key, want string }{
		{"valid files", valid.CertFile, valid.KeyFile, ""},
		{"no certificate", missing, valid.KeyFile, "stat " + missing + ": no such file or directory"},
		{"no key", valid.CertFile, missing, "stat " + missing + ": no such file or directory"},
		{"not a pair", valid.CertFile, other.KeyFile, valid.CertFile + " and " + other.KeyFile + ": tls: private key does not match public key"},
		{"empty files", empty, empty, empty + " and " + empty + ": tls: failed to find any PEM data in certificate input"},
		{"a device", "/dev/zero", valid.KeyFile, "/dev/zero: not a regular file of at most 1 MiB"},
		{"a directory", directory, valid.KeyFile, directory + ": not a regular file of at most 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadCertificate(tt.cert, tt.key, slog.New(slog.DiscardHandler))
			var got string
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got error %q, want %q", got, tt.want)
			}
		})
	}
}

func TestServerHasLimits(t *testing.T) {
	pair := servertest.New(t, t.TempDir())
	s := New(Config{Certificate: loadCertificate(t, pair, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler)}).http
	if s.ReadTimeout <= 0 || s.ReadHeaderTimeout <= 0 || s.WriteTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is not set: %+v", s)
	}
	if s.IdleTimeout <= 90*time.Second {
		t.Errorf("got idle timeout %s, want more than the 90s of the API server", s.IdleTimeout)
	}
	if s.Protocols.HTTP2() || !s.Protocols.HTTP1() {
		t.Errorf("got protocols %v, want HTTP/1 only", s.Protocols)
	}
}

func TestErrorWriterLogsAbortedHandshakesAsDebug(t *testing.T) {
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
		var warnings atomic.Uint64
		if n, err := (errorWriter{log, &warnings}).Write([]byte(tt.line + "\n")); n != len(tt.line)+1 || err != nil {
			t.Errorf("Write returned %d, %v, want %d", n, err, len(tt.line)+1)
		}
		if !strings.Contains(logged.String(), "level="+tt.level+" ") {
			t.Errorf("%q: got log line %s, want level %s", tt.line, &logged, tt.level)
		}
		if got := warnings.Load(); (got == 1) != (tt.level == "WARN") {
			t.Errorf("%q: counted %d warnings", tt.line, got)
		}
	}
}

// clock is a clock that only the test advances.
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

// logMessages returns the msg attribute of every log line.
func logMessages(log *servertest.LockedBuffer) (messages []string) {
	for line := range strings.Lines(log.String()) {
		_, rest, _ := strings.Cut(line, `msg="`)
		message, _, _ := strings.Cut(rest, `"`)
		messages = append(messages, message)
	}
	return messages
}
