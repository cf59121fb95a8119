package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

func tlsAttempts() []badRequest {
	return []badRequest{
		{name: "nothing; then the client closes its side", attempt: func(c *tcpConn) string { return c.withoutTLS("") }},
		{name: "half a ClientHello; then the client closes its side", attempt: func(c *tcpConn) string {
			hello := c.clientHello()
			return c.withoutTLS(hello[:len(hello)/2])
		}},
		{name: "a ClientHello; then the client closes its side", attempt: func(c *tcpConn) string { return c.withoutTLS(c.clientHello()) }},
		{name: "random bytes", attempt: func(c *tcpConn) string { return c.withoutTLS("\x9c\x01\x7f\xfe\x33\x80\x00\x42") }},
		{name: "the hello of SSL 2", attempt: func(c *tcpConn) string { return c.withoutTLS("\x80\x2e\x01\x00\x02" + strings.Repeat("\x00", 43)) }},
		{name: "a record that is larger than TLS allows", attempt: func(c *tcpConn) string { return c.withoutTLS("\x16\x03\x01\xff\xff\x01") }},
		{name: "a first message that is not a ClientHello", attempt: func(c *tcpConn) string { return c.withoutTLS("\x16\x03\x01\x00\x04\x14\x00\x00\x00") }},
		{name: "TLS 1.0", attempt: handshake(func(o *tls.Config) { o.MinVersion, o.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 })},
		{name: "TLS 1.1", attempt: handshake(func(o *tls.Config) { o.MinVersion, o.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 })},
		{name: "TLS 1.2 with a cipher that the server does not have", attempt: handshake(func(o *tls.Config) {
			o.MaxVersion, o.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		})},
		{name: "ALPN with only `h2`", attempt: handshake(func(o *tls.Config) { o.NextProtos = []string{"h2"} })},
		{name: "ALPN with an unknown protocol", attempt: handshake(func(o *tls.Config) { o.NextProtos = []string{"\x01\n"} })},
		{name: "ALPN with 16 KiB of unknown protocols", attempt: handshake(func(o *tls.Config) { o.NextProtos = longProtocols(64) })},
		{name: "a ClientHello of 63 KiB", attempt: handshake(func(o *tls.Config) { o.NextProtos = longProtocols(250) })},
		{name: "ALPN with `h2` and `http/1.1`, which is chosen", attempt: handshake(func(o *tls.Config) { o.NextProtos = []string{"h2", "http/1.1"} })},
		{name: "another server name, which is ignored", attempt: handshake(func(o *tls.Config) { o.ServerName, o.InsecureSkipVerify = "example.com", true })},
		{name: "a client that does not trust the certificate", attempt: handshake(func(o *tls.Config) { o.ServerName = "example.com" })},
		{name: "a changed record after the handshake", attempt: afterHandshake("\x17\x03\x03\x00\x20" + strings.Repeat("\x00", 32))},
		{name: "HTTP without TLS after the handshake", attempt: afterHandshake(goodReview)},
		{name: "half a request; then the client closes the TCP connection", attempt: func(c *tcpConn) string {
			client := tls.Client(c, c.config)
			_, _ = io.WriteString(client, goodReview[:len(goodReview)/2]) // an error shows as an answer below
			return c.lastWords()
		}},
	}
}

// longProtocols returns n unknown protocols of 255 bytes each.
func longProtocols(n int) []string { return slices.Repeat([]string{strings.Repeat("\x01", 255)}, n) }

// handshake returns an attempt to send a review over TLS with a changed configuration.
func handshake(change func(*tls.Config)) func(*tcpConn) string {
	return func(c *tcpConn) string {
		config := c.config.Clone()
		config.ClientSessionCache = nil
		change(config)
		client := &tlsClient{tcp: c, conn: tls.Client(c, config)}
		if err := client.conn.Handshake(); err != nil {
			return handshakeError(err)
		}
		return client.exchange(goodReview)
	}
}

// handshakeError describes a failed handshake. Only the server's alert is in the table: the
// text of the client's own errors belongs to Go.
func handshakeError(err error) string {
	if verification := new(tls.CertificateVerificationError); errors.As(err, &verification) {
		return "the client ends the handshake"
	}
	return connectionEnd(err)
}

// afterHandshake returns an attempt to send bytes past the TLS layer.
func afterHandshake(text string) func(*tcpConn) string {
	return func(c *tcpConn) string {
		config := c.config.Clone()
		config.ClientSessionCache = nil
		client := &tlsClient{tcp: c, conn: tls.Client(c, config)}
		if answer := client.exchange(goodReview); answer != allowedAnswer {
			return "before the bytes: " + answer
		}
		_, _ = io.WriteString(c, text) // an error shows as an answer below
		return client.answer(goodReview)
	}
}

// clientHello returns the first message of a handshake.
func (c *tcpConn) clientHello() string {
	var first firstWrite
	config := c.config.Clone()
	config.ClientSessionCache = nil
	_ = tls.Client(&first, config).Handshake() // ends with the error of firstWrite
	return first.text
}

// firstWrite is a connection that keeps the first bytes that are written to it, and then fails.
type firstWrite struct {
	net.Conn
	text string
}

func (w *firstWrite) Write(b []byte) (int, error) {
	w.text = string(b)
	return 0, net.ErrClosed
}

func (w *firstWrite) Close() error { return nil }

// withoutTLS sends bytes over TCP, closes the client's side and returns the answer.
func (c *tcpConn) withoutTLS(text string) string {
	_, _ = io.WriteString(c, text) // an error shows as an answer below
	return c.lastWords()
}

// lastWords closes the client's side and returns what the server still sends.
func (c *tcpConn) lastWords() string {
	_ = c.CloseWrite() // an error shows as an answer below
	return c.rest()
}

// rest describes what the server sends until it closes the connection: an HTTP answer, a TLS
// alert, or messages of a handshake that has no end.
func (c *tcpConn) rest() string {
	received, _ := io.ReadAll(c) // an error is the end of the connection
	if resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(received)), nil); err == nil {
		body, _ := io.ReadAll(resp.Body) // in memory, so it cannot fail
		return describeAnswer(resp, body)
	}
	return describeRecords(received)
}

// describeRecords returns the first TLS alert that is not encrypted.
func describeRecords(records []byte) string {
	for len(records) >= 7 {
		length := int(binary.BigEndian.Uint16(records[3:]))
		if records[0] == recordAlert && length == 2 {
			return "TLS alert: " + strings.TrimPrefix(tls.AlertError(records[6]).Error(), "tls: ")
		}
		records = records[min(5+length, len(records)):]
	}
	return closedConnection
}

// recordAlert is the type of a TLS record that contains an alert.
const recordAlert = 21
