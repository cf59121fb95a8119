package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// tcpConn is a TCP connection to the server and the TLS configuration of its clients.
type tcpConn struct {
	*net.TCPConn
	config *tls.Config
	sent   int // bytes
}

func (c *tcpConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.sent += n
	return n, err
}

func dialServer(addr string, config *tls.Config) (*tcpConn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &tcpConn{TCPConn: conn.(*net.TCPConn), config: config}, nil
}

// tlsClient sends requests over TLS, byte by byte as they are. It keeps its connection until
// the server closes it.
type tlsClient struct {
	addr   string
	config *tls.Config
	tcp    *tcpConn
	conn   *tls.Conn // nil: not connected
	reader *bufio.Reader
}

// clientConfig returns the TLS configuration of clients that trust the server's certificate.
func clientConfig(t *testing.T, pair servertest.KeyPair) *tls.Config {
	t.Helper()
	config := pair.Client(t).Transport.(*http.Transport).TLSClientConfig
	config.ServerName = "localhost"
	return config
}

// newTLSClient returns a client that resumes its sessions with a fast key exchange, because it
// may connect very often.
func newTLSClient(t *testing.T, addr string, config *tls.Config) *tlsClient {
	t.Helper()
	config = config.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	config.CurvePreferences = []tls.CurveID{tls.CurveP256}
	c := &tlsClient{addr: addr, config: config}
	t.Cleanup(c.close)
	return c
}

// request sends a bad request and returns the answer. It does not check whether the
// connection is still usable.
func (c *tlsClient) request(r badRequest) (answer string) {
	if r.attempt != nil {
		return c.attempt(r.attempt)
	}
	if err := c.connect(); err != nil {
		return "cannot connect: " + err.Error()
	}
	sent := c.start(r)
	defer sent.Wait()
	answers := []string{c.answer(r.sent)}
	for len(answers) < r.answers {
		answers = append(answers, c.answer(r.sent))
	}
	return strings.Join(answers, ", then ")
}

// attempt runs a function with a new TCP connection.
func (c *tlsClient) attempt(run func(*tcpConn) string) string {
	conn, err := dialServer(c.addr, c.config)
	if err != nil {
		return "cannot connect: " + err.Error()
	}
	defer func() { _ = conn.Close() }()
	return run(conn)
}

// connect connects if the client has no connection.
func (c *tlsClient) connect() (err error) {
	if c.conn != nil {
		return nil
	}
	if c.tcp, err = dialServer(c.addr, c.config); err != nil {
		return err
	}
	c.conn = tls.Client(c.tcp, c.config)
	c.reader = bufio.NewReader(c.conn)
	return c.conn.Handshake()
}

// start sends a request while the client reads the answer. It ignores errors, because the
// server may close the connection before it has read the whole request: the answer says why.
func (c *tlsClient) start(r badRequest) *sync.WaitGroup {
	var sending sync.WaitGroup
	if r.send != nil {
		conn := c.conn
		sending.Go(func() { _ = r.send(conn) })
		return &sending
	}
	_, _ = io.WriteString(c.conn, r.sent)
	if r.halfClose {
		_ = c.conn.CloseWrite()
	}
	return &sending
}

// exchange sends a request on the client's connection and returns the answer.
func (c *tlsClient) exchange(request string) string {
	if c.reader == nil {
		c.reader = bufio.NewReader(c.conn)
	}
	_, _ = io.WriteString(c.conn, request) // an error shows as a missing answer
	return c.answer(request)
}

// answer reads the next answer.
func (c *tlsClient) answer(request string) string {
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		return connectionEnd(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return connectionEnd(err)
	}
	return c.withoutAddresses(describeAnswer(resp, body))
}

// withoutAddresses replaces the addresses of the connection, whose ports differ in each run.
func (c *tlsClient) withoutAddresses(text string) string {
	return strings.NewReplacer(c.tcp.LocalAddr().String(), "CLIENT", c.tcp.RemoteAddr().String(), "SERVER").Replace(text)
}

// isOpen reports whether the connection answers a review.
func (c *tlsClient) isOpen() bool {
	if c.conn == nil {
		return false
	}
	return c.exchange(goodReview) == allowedAnswer
}

func (c *tlsClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
