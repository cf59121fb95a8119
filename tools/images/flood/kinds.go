package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// kind is a kind of connection.
type kind struct {
	name, usage string
	// use uses an open connection until the server closes it.
	use func(ctx context.Context, f *figures, conn net.Conn) error
}

var kinds = []kind{
	{"idle", "keep this `number` of connections open, without a request", afterHandshake(wait)},
	{"handshakes", "keep this `number` of connections open, each with a part of a handshake", beginHandshake},
	{"certificates", "keep this `number` of connections open, each with a part of a huge client certificate", beginCertificate},
	{"headers", "keep this `number` of connections open, each with a part of a request header", send("POST /validating HTTP/1.1\r\nHost: x\r\n")},
	{"bodies", "keep this `number` of connections open, each with a body of which one byte is missing", send(slowBody)},
	{"reviews", "send reviews on this `number` of connections, without a pause", afterHandshake(sendReviews(review(1)))},
	{"large", "send reviews of 1 MiB on this `number` of connections, without a pause", afterHandshake(sendReviews(review(largeContainers)))},
	{"invalid", "send invalid requests on this `number` of connections, without a pause", afterHandshake(sendReviews("{}"))},
}

// slowBody is a request with a body of 65,000 bytes, without its last byte.
var slowBody = header(65_000) + strings.Repeat(" ", 64_999)

func header(size int) string {
	return fmt.Sprintf("POST /validating HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
}

// largeContainers is the number of containers in a review of 1 MiB.
const largeContainers = 1 << 20 / len(container)

const container = `{"name":"web","image":"registry.example.com/team/app:1.2.3"},`

// review returns an AdmissionReview of a pod that is allowed.
func review(containers int) string {
	list := strings.TrimSuffix(strings.Repeat(container, containers), ",")
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1",` +
		`"kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","object":{"spec":{"containers":[` + list + `]}}}}`
}

// wait waits until the server closes the connection.
func wait(_ context.Context, _ *figures, conn net.Conn) error {
	_, err := io.Copy(io.Discard, conn)
	return err
}

// beginHandshake sends the first bytes of a ClientHello of 512 bytes.
func beginHandshake(ctx context.Context, f *figures, conn net.Conn) error {
	if _, err := conn.Write([]byte{22, 3, 1, 2, 0, 1, 0}); err != nil {
		return err
	}
	return wait(ctx, f, conn)
}

// certificateSize is nearly the maximum of crypto/tls.
const certificateSize = 250_000

// beginCertificate sends a client certificate, if the server asks for one, but not its last bytes.
func beginCertificate(ctx context.Context, f *figures, conn net.Conn) error {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	huge := tls.Certificate{Certificate: [][]byte{make([]byte, certificateSize)}, PrivateKey: key}
	config := &tls.Config{
		InsecureSkipVerify:   true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &huge, nil },
	}
	if err := tls.Client(&truncated{conn, certificateSize}, config).HandshakeContext(ctx); err != nil {
		return err
	}
	return wait(ctx, f, conn)
}

// truncated is a connection that does not send more than a number of bytes.
type truncated struct {
	net.Conn
	left int
}

func (t *truncated) Write(p []byte) (int, error) {
	sent := min(len(p), t.left)
	t.left -= sent
	if _, err := t.Conn.Write(p[:sent]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// afterHandshake calls use with a TLS connection.
func afterHandshake(use func(context.Context, *figures, net.Conn) error) func(context.Context, *figures, net.Conn) error {
	return func(ctx context.Context, f *figures, conn net.Conn) error {
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		if err := secured.HandshakeContext(ctx); err != nil {
			return err
		}
		return use(ctx, f, secured)
	}
}

// send sends a text and then waits.
func send(text string) func(context.Context, *figures, net.Conn) error {
	return afterHandshake(func(ctx context.Context, f *figures, conn net.Conn) error {
		if _, err := io.WriteString(conn, text); err != nil {
			return err
		}
		return wait(ctx, f, conn)
	})
}

// sendReviews sends requests with a body, one after the other, and counts the answers.
func sendReviews(body string) func(context.Context, *figures, net.Conn) error {
	text := header(len(body)) + body
	return func(_ context.Context, f *figures, conn net.Conn) error {
		answers := bufio.NewReader(conn)
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return err
			}
			answer, err := http.ReadResponse(answers, nil)
			if err != nil {
				return err
			}
			f.count(answer.StatusCode)
			if _, err := io.Copy(io.Discard, answer.Body); err != nil {
				return err
			}
		}
	}
}
