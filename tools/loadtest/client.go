package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// webhookTimeout is timeoutSeconds of deploy/05-webhookconfigure.yaml. The API server sends it.
const webhookTimeout = 5 * time.Second

// newRequest returns an HTTP request as the API server sends it for a review.
func newRequest(path string, body []byte) []byte {
	head := fmt.Sprintf("POST %s?timeout=%s HTTP/1.1\r\n"+
		"Host: webhook.image-webhook.svc:443\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: %d\r\n"+
		"Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n",
		path, webhookTimeout, len(body))
	return append([]byte(head), body...)
}

// connection is a kept-alive connection to a server. It reuses its buffers, so that a request
// needs little CPU time and no memory of the client.
type connection struct {
	conn *tls.Conn
	in   *bufio.Reader
	body []byte // of the last response
}

func connect(ctx context.Context, addr string, trusted *x509.CertPool) (*connection, error) {
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: trusted, NextProtos: []string{"http/1.1"}}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return &connection{conn: conn.(*tls.Conn), in: bufio.NewReader(conn)}, nil
}

// connectAll returns n connections.
func connectAll(ctx context.Context, n int, addr string, trusted *x509.CertPool) (all []*connection, err error) {
	for range n {
		c, err := connect(ctx, addr, trusted)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func closeAll(connections []*connection) {
	for _, c := range connections {
		_ = c.conn.Close() // the server may have closed it
	}
}

// post sends a request and reads the response. A status other than 200 is an error.
func (c *connection) post(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("send a request: %w", err)
	}
	status, err := c.readResponse()
	switch {
	case err != nil:
		return fmt.Errorf("read a response: %w", err)
	case status != http.StatusOK:
		return fmt.Errorf("the server answered with status %d, want 200: %s", status, bytes.TrimSpace(c.body))
	}
	return nil
}

// readResponse reads a response, and its body to c.body.
func (c *connection) readResponse() (status int, err error) {
	if status, err = c.readStatus(); err != nil {
		return 0, err
	}
	length, err := c.readHeader()
	if err != nil {
		return 0, err
	}
	c.body = c.body[:0]
	if length == chunked {
		return status, c.readChunks()
	}
	return status, c.readBody(length)
}

func (c *connection) readStatus() (int, error) {
	line, err := c.readLine()
	if err != nil {
		return 0, err
	}
	const protocol, digits = "HTTP/1.1 ", 3
	if !bytes.HasPrefix(line, []byte(protocol)) || len(line) < len(protocol)+digits {
		return 0, fmt.Errorf("invalid status line %q", line)
	}
	return parseNumber(line[len(protocol):len(protocol)+digits], 10)
}

// chunked and unknown are lengths of bodies that have no Content-Length.
const (
	chunked = -1
	unknown = -2
)

// readHeader reads the header, and returns the length of the body.
func (c *connection) readHeader() (length int, err error) {
	length = unknown
	for {
		line, err := c.readLine()
		if err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		if length, err = bodyLength(line, length); err != nil {
			return 0, err
		}
	}
	if length == unknown {
		return 0, errors.New("the response has neither a Content-Length nor chunks")
	}
	return length, nil
}

// bodyLength returns the length of a body after a line of the header.
func bodyLength(line []byte, length int) (int, error) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		return parseNumber(value, 10)
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		return chunked, nil
	case bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close")):
		return 0, errors.New("the server closes the connection")
	}
	return length, nil
}

// readChunks reads a chunked body without a trailer.
func (c *connection) readChunks() error {
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		size, err := parseNumber(line, 16)
		if err != nil {
			return err
		}
		if err := c.readBody(size); err != nil {
			return err
		}
		if end, err := c.readLine(); err != nil || len(end) > 0 {
			return errors.Join(err, invalidEnd(end))
		}
		if size == 0 {
			return nil
		}
	}
}

func invalidEnd(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	return fmt.Errorf("invalid end of a chunk: %q", line)
}

// readBody appends n bytes to c.body.
func (c *connection) readBody(n int) error {
	start := len(c.body)
	c.body = slices.Grow(c.body, n)[:start+n]
	_, err := io.ReadFull(c.in, c.body[start:])
	return err
}

// readLine returns a line without its end. It is valid until the next read.
func (c *connection) readLine() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// parseNumber parses a number that is not negative.
func parseNumber(text []byte, base int) (int, error) {
	n, err := strconv.ParseUint(string(text), base, 31)
	return int(n), err
}
