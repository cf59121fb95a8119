// Package server serves HTTP handlers over TLS to the API server. It is responsible for
// reloading the certificate, client authentication, probes, limits, logs of connection
// errors and the graceful shutdown. It does not know what the handlers do.
//
// With Clients, a caller without a trusted client certificate gets 401 from every
// handler. The server adds two paths without authentication: /healthz returns 200
// while the process runs, and /readyz returns 503 as soon as the server starts to
// shut down. All other paths return 404.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// readTimeout limits each handshake, and then the time until a request has arrived. The
	// API server sends both at once. It waits five seconds for the answer, unless timeoutSeconds
	// in deploy/05-webhookconfigure.yaml is higher.
	readTimeout = 3 * time.Second
	// writeTimeout is the maximum time that the API server waits for a webhook, whatever its
	// timeoutSeconds are. A client that does not read its answer keeps the memory of the answer
	// for this long.
	writeTimeout = 30 * time.Second
	// idleTimeout is longer than the 90 seconds after which the API server closes idle
	// connections: the side that closes first can lose requests in flight.
	idleTimeout = 120 * time.Second
	// maxHeaderBytes is enough for the API server's headers, even with a token.
	maxHeaderBytes = 16 << 10
	// closeTimeout is how long a shutdown serves clients that are connected and those that still
	// connect, and drainTimeout limits how long it then waits for requests in flight. The
	// sum must be less than the pod's termination grace period of 30 seconds minus the
	// preStop pause in deploy/04-webhook.yaml. If a pod is deleted by force, the kubelet shortens
	// the pause to one second, and kills the process two seconds after the signal to stop.
	closeTimeout = 1500 * time.Millisecond
	drainTimeout = 10 * time.Second
)

// Server serves handlers over TLS.
type Server struct {
	http         *http.Server
	connections  *connections
	refused      func(status int)
	failed       atomic.Uint64 // errors of connections
	closeTimeout time.Duration
	drainTimeout time.Duration
	draining     atomic.Bool
}

// Config configures a server.
type Config struct {
	Handlers    map[string]http.Handler // by path
	Certificate *Certificate
	Clients     *Clients // nil admits all callers
	Log         *slog.Logger
	Refused     func(status int) // if set, called for each request that no handler gets
}

// New returns a server.
func New(c Config) *Server {
	s := &Server{connections: newConnections(maxConnections, c.Log), refused: c.Refused, closeTimeout: closeTimeout, drainTimeout: drainTimeout}
	if s.refused == nil {
		s.refused = func(int) {}
	}
	paths := map[string]http.Handler{"/healthz": s.probe(s.healthz), "/readyz": s.probe(s.readyz)}
	for path, h := range c.Handlers {
		paths[path] = c.Clients.requireCertificate(h, s.refused)
	}
	s.http = &http.Server{
		Handler:           s.closeWhenDraining(s.route(paths)),
		ConnState:         s.connections.track,
		TLSConfig:         c.Clients.tlsConfig(c.Certificate.tlsConfig()),
		Protocols:         http1Only(),
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(errorWriter{c.Log, &s.failed}, "", 0),
	}
	return s
}

// Stats describes the connections of a server.
type Stats struct {
	Open, Limit int    // connections
	Closed      uint64 // connections that were closed because too many were open
	Failed      uint64 // failed handshakes and other errors of connections
}

// Stats returns the current values.
func (s *Server) Stats() Stats {
	open, closed := s.connections.counts()
	return Stats{Open: open, Limit: s.connections.limit, Closed: closed, Failed: s.failed.Load()}
}

// route returns a handler that chooses a handler by the path of a request. Unlike http.ServeMux, it
// never redirects a request to another path, and it is faster.
func (s *Server) route(handlers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := handlers[r.URL.Path]; ok {
			h.ServeHTTP(w, r)
			return
		}
		s.refused(http.StatusNotFound)
		http.NotFound(w, r)
	})
}

// probe returns a handler that accepts only the methods GET and HEAD.
func (s *Server) probe(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isGet(w, r) {
			h(w, r)
			return
		}
		s.refused(http.StatusMethodNotAllowed)
	})
}

// isGet reports whether the method is GET or HEAD. Otherwise it answers with an error.
func isGet(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "invalid method: use GET", http.StatusMethodNotAllowed)
	return false
}

// http1Only returns protocols without HTTP/2: the API server calls webhooks behind a
// Service with HTTP/1.1.
func http1Only() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// Serve serves on the listener until the context ends, then shuts down. It returns
// nil if all requests in flight were answered.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.http.ServeTLS(handshakeListener{l}, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return s.shutDown()
	})
	return g.Wait()
}

// shutDown lets clients close their connections, waits for requests in flight, and closes all
// connections.
func (s *Server) shutDown() error {
	s.draining.Store(true)
	s.letClientsClose()
	ctx, cancel := context.WithTimeout(context.Background(), s.drainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("shutdown: aborted the requests that were not answered within %s", s.drainTimeout), s.http.Close())
	}
	return nil
}

// letClientsClose serves until closeTimeout, unless no client is connected. Every response asks the
// client to close its connection. If the server closed a connection itself, the API server could have
// sent a new request on it, and would not retry that request. kube-proxy can lead new connections to
// the server for a moment, and the API server would not retry a connection that is refused.
func (s *Server) letClientsClose() {
	if s.Stats().Open > 0 {
		time.Sleep(s.closeTimeout)
	}
}

// closeWhenDraining returns a handler whose responses ask the client to close the
// connection during a shutdown.
func (s *Server) closeWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "ok\n")
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
