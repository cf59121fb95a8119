package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
	"github.com/image-webhook/image-webhook/webhook/server"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// slowRequest is what a client sends before it stops. Exactly one of tcp and tls is set.
type slowRequest struct {
	name       string
	tcp        func(*tcpConn) string // returns the bytes to send without TLS
	tls        string                // the bytes to send over TLS
	byteByByte bool
	complete   bool // the server answers, and then waits for another request
	unread     bool // the client does not read the answer
}

func slowRequests() []slowRequest {
	const review = "POST /validating HTTP/1.1"
	return []slowRequest{
		{name: "nothing", tcp: func(*tcpConn) string { return "" }},
		{name: "half a ClientHello", tcp: func(c *tcpConn) string { return c.clientHello()[:50] }},
		{name: "a ClientHello", tcp: (*tcpConn).clientHello},
		{name: "a handshake"},
		{name: "a review, and then nothing", tls: goodReview, complete: true},
		{name: "a review, whose answer the client does not read", tls: goodReview, unread: true},
		{name: "half a header", tls: review + "\r\nHost: webh"},
		{name: "half a header, byte by byte", tls: review + "\r\nHost: webh", byteByByte: true},
		{name: "half of a small body", tls: goodReview[:len(goodReview)-100]},
		{name: "half of a small body, byte by byte", tls: goodReview[:len(goodReview)-100], byteByByte: true},
		{name: "the start of 100 KiB", tls: announced("102400") + "{"},
		{name: "the start of 30 MiB", tls: announced("31457280") + "{"},
		{name: "the start of 1 TiB", tls: announced("1099511627776") + "{"},
		{name: "a chunk without a last chunk", tls: postChunked(chunk(goodBody))},
		{name: "half a chunk size", tls: postChunked("1f")},
		{name: "`Expect: 100-continue` without the body", tls: head(review, hostHeader, jsonHeader, "Expect: 100-continue", "Content-Length: 100")},
	}
}

// patientServer serves the program's handlers on connections whose read deadlines pass when
// the test says so: neither does a test wait for a slow client, nor does a slow machine change
// an answer.
type patientServer struct {
	addr     string
	config   *tls.Config
	accepted chan *watchedConn
}

func startPatientServer(t *testing.T) *patientServer {
	t.Helper()
	pair := servertest.New(t, t.TempDir())
	log := slog.New(slog.DiscardHandler)
	rules := ruleflags.Add(pflag.NewFlagSet("serve", pflag.ContinueOnError), "")
	o := serveOptions{rules: rules, addr: "127.0.0.1:0", metricsAddr: noMetrics, tlsCert: pair.CertFile, tlsKey: pair.KeyFile}
	c, err := o.load(log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen("server-addr", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &patientServer{l.Addr().String(), clientConfig(t, pair), make(chan *watchedConn, 1)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- server.New(server.Config{
			Handlers:    admission.Handlers(admission.Reporting{Log: log}, c.rules),
			Certificate: c.cert, Clients: c.clients, Log: log,
		}).Serve(ctx, watchedListener{l, s.accepted})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s
}

// request sends a slow request, lets the server's read deadlines pass, and returns what the
// client gets.
func (s *patientServer) request(t *testing.T, r slowRequest) string {
	t.Helper()
	tcp, err := dialServer(s.addr, s.config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	c := slowClient{tcp: tcp, received: <-s.accepted}
	c.send(t, r)
	if !r.unread {
		c.received.passReadDeadlines()
	}
	answer := make(chan string, 1)
	go func() { answer <- c.read() }()
	select {
	case text := <-answer:
		return text
	case <-c.received.endless:
		return waitsForever
	}
}

// waitsForever is the answer to a client that can occupy the server for as long as it wants.
const waitsForever = "none: the server waits without a deadline"

// slowClient is both ends of a connection.
type slowClient struct {
	tcp      *tcpConn
	received *watchedConn
	overTLS  *tlsClient // nil: no handshake
	answers  []string
}

// send sends a slow request, and waits until the server has received it.
func (c *slowClient) send(t *testing.T, r slowRequest) {
	t.Helper()
	if r.tcp != nil {
		c.write(t, c.tcp, r.tcp(c.tcp))
		return
	}
	conn := tls.Client(c.tcp, c.tcp.config)
	c.overTLS = &tlsClient{tcp: c.tcp, conn: conn, reader: bufio.NewReader(conn)}
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if r.unread {
		c.received.passWriteDeadlines()
	}
	if !r.byteByByte {
		c.write(t, conn, r.tls)
	} else {
		c.writeBytes(t, conn, r.tls)
	}
	if r.complete {
		c.answers = append(c.answers, c.overTLS.answer(r.tls))
		c.received.waitForDeadline()
	}
}

// writeBytes writes each byte in its own TLS record. The server must not move its deadline with
// each of them.
func (c *slowClient) writeBytes(t *testing.T, conn *tls.Conn, text string) {
	t.Helper()
	before := c.received.deadlineChanges()
	for i := range len(text) {
		c.write(t, conn, text[i:i+1])
	}
	if changes := c.received.deadlineChanges() - before; changes >= len(text) {
		t.Errorf("the server changed its deadline %d times for the %d bytes %q", changes, len(text), text)
	}
}

func (c *slowClient) write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	c.received.waitFor(c.tcp.sent)
}

// read returns all answers until the server closes the connection.
func (c *slowClient) read() string {
	if c.overTLS == nil {
		return c.tcp.rest()
	}
	next := c.overTLS.answer(goodReview)
	for ; next != closedConnection; next = c.overTLS.answer(goodReview) {
		c.answers = append(c.answers, next)
	}
	if len(c.answers) == 0 {
		return closedConnection
	}
	return strings.Join(c.answers, ", then ")
}

// watchedListener accepts connections that it also sends to a channel.
type watchedListener struct {
	net.Listener
	accepted chan<- *watchedConn
}

func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	watched := &watchedConn{Conn: conn, endless: make(chan struct{})}
	watched.changed = sync.NewCond(&watched.mu)
	l.accepted <- watched
	return watched, nil
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// watchedConn is the server's end of a connection. A test can wait until the server has read
// some bytes, and let the server's read deadlines pass.
type watchedConn struct {
	net.Conn
	endless chan struct{} // closed when the server reads without a deadline after passReadDeadlines

	mu       sync.Mutex
	changed  *sync.Cond // what follows
	received int        // bytes
	reading  bool
	passed   bool // every read deadline has passed
	full     bool // every write deadline has passed
	deadline time.Time
	changes  int // of the deadline
}

func (c *watchedConn) Read(b []byte) (int, error) {
	c.setReading(true)
	n, err := c.Conn.Read(b)
	c.setReading(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received += n
	c.changed.Broadcast()
	return n, err
}

func (c *watchedConn) setReading(reading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = reading
	c.reportEndless()
}

// SetReadDeadline sets a deadline, which has passed already after passReadDeadlines.
func (c *watchedConn) SetReadDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = deadline
	c.changes++
	c.changed.Broadcast()
	c.reportEndless()
	return c.Conn.SetReadDeadline(c.effective())
}

// effective returns the deadline of the TCP connection. A deadline in the future never passes,
// however slow the machine is, until passReadDeadlines.
func (c *watchedConn) effective() time.Time {
	switch {
	case c.deadline.IsZero(), !c.passed && c.deadline.After(time.Now()):
		return time.Time{}
	case c.passed:
		return past
	}
	return c.deadline
}

// reportEndless closes endless if the server would wait for the client without a limit.
func (c *watchedConn) reportEndless() {
	if !c.passed || !c.reading || !c.deadline.IsZero() {
		return
	}
	select {
	case <-c.endless:
	default:
		close(c.endless)
	}
}

// passReadDeadlines lets the current read deadline pass, and each later one.
func (c *watchedConn) passReadDeadlines() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed = true
	c.reportEndless()
	_ = c.Conn.SetReadDeadline(c.effective()) // fails only on a closed connection
}

// SetWriteDeadline sets a deadline, which has passed already after passWriteDeadlines.
func (c *watchedConn) SetWriteDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full && !deadline.IsZero() {
		deadline = past
	}
	return c.Conn.SetWriteDeadline(deadline)
}

// passWriteDeadlines lets each later write deadline pass, as if the client's buffers were full.
func (c *watchedConn) passWriteDeadlines() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full = true
}

// waitFor waits until the server has read n bytes.
func (c *watchedConn) waitFor(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.received < n {
		c.changed.Wait()
	}
}

// waitForDeadline waits until the server has set a read deadline that has not passed yet. Until
// then it waits for its own handler, and only notices if the client closes the connection.
func (c *watchedConn) waitForDeadline() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.deadline.After(time.Now()) {
		c.changed.Wait()
	}
}

func (c *watchedConn) deadlineChanges() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}
