package server

import (
	"errors"
	"net"
)

// maxHandshake is the maximum number of bytes that a client sends until its first request header
// has arrived. A handshake needs about 2 KiB, and a client certificate a few more. The limit of
// crypto/tls is 256 KiB, which is too much memory for all connections together.
const maxHandshake = 32 << 10

// handshakeListener returns connections on which clients cannot send more than maxHandshake,
// until lift is called.
type handshakeListener struct {
	net.Listener
}

// Accept implements net.Listener.
func (l handshakeListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &handshakeConn{conn, maxHandshake}, nil
}

// handshakeConn is a connection with limited input.
type handshakeConn struct {
	net.Conn
	left int // bytes; negative: not limited
}

var errLargeHandshake = errors.New("the handshake is too large")

// Read implements net.Conn.
func (c *handshakeConn) Read(p []byte) (int, error) {
	if c.left < 0 {
		return c.Conn.Read(p)
	}
	if c.left == 0 {
		return 0, errLargeHandshake
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// lift lifts the limit. The goroutine that reads must call it.
func (c *handshakeConn) lift() { c.left = -1 }
