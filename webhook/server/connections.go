package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// maxConnections limits the open connections. API servers need fewer: each sends at most 600
// requests at the same time (its flags --max-requests-inflight and
// --max-mutating-requests-inflight), and the Service spreads them over the replicas.
const maxConnections = 1024

// maxReplacements limits how many connections per second a greedy host may replace with new ones.
// A new connection costs a handshake; to close it at once costs nearly nothing. It is not zero,
// because an API server can have the same address as a flood, behind a NAT gateway.
const maxReplacements = 50

// connections are the open connections of a server. If there are too many, one is closed for
// each new one: the memory of the server is limited, but a flood from one address must not
// keep the API server out, or break its connections.
type connections struct {
	limit        int
	replacements *rate.Limiter
	log          *slog.Logger

	mu     sync.Mutex
	open   map[net.Conn]*connection
	byHost map[netip.Addr]int // the number of open connections
	events uint64             // counts the changes of state
	closed uint64             // counts the connections that were closed because of the limit
}

// connection is one open connection.
type connection struct {
	conn    net.Conn
	host    netip.Addr // of the client
	trusted bool       // whether it has a client certificate that was verified
	state   http.ConnState
	changed uint64 // the event of the last change of state
}

func newConnections(limit int, log *slog.Logger) *connections {
	return &connections{
		limit: limit, replacements: rate.NewLimiter(maxReplacements, maxReplacements), log: log,
		open: map[net.Conn]*connection{}, byHost: map[netip.Addr]int{},
	}
}

// counts returns how many connections are open, and how many were closed because of the limit.
func (c *connections) counts() (open int, closed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.closed
}

// track implements http.Server.ConnState. The server calls it for a new connection before it
// accepts the next one, so there are never more than the limit and one.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events++
	switch state {
	case http.StateNew:
		c.add(&connection{conn: conn, host: hostOf(conn), changed: c.events})
	case http.StateClosed, http.StateHijacked:
		c.remove(c.open[conn])
	case http.StateActive, http.StateIdle:
		if known := c.open[conn]; known != nil {
			known.update(state, c.events)
		}
	}
}

// add adds a new connection. It closes one if there are too many, which can be the new one.
func (c *connections) add(added *connection) {
	c.open[added.conn] = added
	c.byHost[added.host]++
	if len(c.open) <= c.limit {
		return
	}
	victim := added
	if !c.isGreedy(added.host) || c.replacements.Allow() {
		victim = c.victim()
	}
	c.log.Warn("closed a connection", "reason", "too many connections are open", "open", c.limit, "from", victim.host.String(), "openFrom", c.byHost[victim.host])
	c.remove(victim)
	c.closed++
	victim.close()
}

// isGreedy reports whether a host has more than its share of the connections.
func (c *connections) isGreedy(host netip.Addr) bool {
	return c.byHost[host] > max(c.limit/len(c.byHost), c.smallShare())
}

// weight returns the number of connections of a host. All hosts with few connections have the same
// weight: many pods with a few connections each must not replace those of the API server, which
// keeps up to 25 idle ones.
func (c *connections) weight(host netip.Addr) int { return max(c.byHost[host], c.smallShare()) }

func (c *connections) smallShare() int { return c.limit / 16 }

// remove forgets a connection, unless it is nil.
func (c *connections) remove(removed *connection) {
	if removed == nil {
		return
	}
	delete(c.open, removed.conn)
	if c.byHost[removed.host]--; c.byHost[removed.host] == 0 {
		delete(c.byHost, removed.host)
	}
}

// victim returns the connection whose client loses least.
func (c *connections) victim() (victim *connection) {
	for _, candidate := range c.open {
		if victim == nil || c.before(candidate, victim) {
			victim = candidate
		}
	}
	return victim
}

// before reports whether a is closed rather than b. Strangers come first, then the host with
// most connections, then connections without a complete request header, then the one whose state
// is the oldest.
func (c *connections) before(a, b *connection) bool {
	switch {
	case a.trusted != b.trusted:
		return b.trusted
	case c.weight(a.host) != c.weight(b.host):
		return c.weight(a.host) > c.weight(b.host)
	case (a.state == http.StateActive) != (b.state == http.StateActive):
		return b.state == http.StateActive
	}
	return a.changed < b.changed
}

// close closes the connection. Closing a TLS connection would wait until the client receives an
// alert.
func (x *connection) close() {
	if secured, ok := x.conn.(*tls.Conn); ok {
		_ = secured.NetConn().Close()
		return
	}
	_ = x.conn.Close()
}

// update records a change of state. A handshake is complete before the first one.
func (x *connection) update(state http.ConnState, event uint64) {
	if secured, ok := x.conn.(*tls.Conn); ok && x.state == http.StateNew {
		secured.NetConn().(*handshakeConn).lift()
		x.trusted = len(secured.ConnectionState().VerifiedChains) > 0
	}
	x.state, x.changed = state, event
}

// hostOf returns the address of a client without its port.
func hostOf(conn net.Conn) netip.Addr {
	address, _ := conn.RemoteAddr().(*net.TCPAddr)
	return address.AddrPort().Addr().Unmap()
}
