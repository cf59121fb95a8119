// Package server serves handlers over HTTPS to the API server: the listener,
// the certificate and its renewal, who may ask, the probes, the time limits and
// the orderly end. What the handlers decide is none of its business.
//
// If there are Clients, all others that ask a handler are answered with 401.
// Beside the handlers there are /healthz, which answers as long as the
// process can, and /readyz, which answers 503 from the moment the server is
// told to stop; everybody may ask these. Every other path is 404.
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
	// The API server waits at most 30 seconds for a webhook; nobody is left to
	// read an answer that takes longer.
	readTimeout  = 15 * time.Second
	writeTimeout = 15 * time.Second
	// The API server keeps idle connections for 90 seconds. Whoever closes
	// first loses the requests that are under way: let it be the client.
	idleTimeout = 120 * time.Second
	// What the API server sends has a few hundred bytes, and perhaps a token.
	maxHeaderBytes = 16 << 10
	// FarewellTime is how long a server that is told to stop waits for its clients to
	// close their connections, and DrainTimeout how long it then waits for requests
	// under way. Together they are shorter than what a pod has left of its 30 seconds
	// after the pause of deploy/04-webhook.yaml.
	FarewellTime = 2 * time.Second
	DrainTimeout = 10 * time.Second
)

// Server serves handlers until it is told to stop.
type Server struct {
	http     *http.Server
	farewell time.Duration
	drain    time.Duration
	draining atomic.Bool
	open     atomic.Int64 // connections
}

// New makes a server of handlers by path, for some clients or, if they are nil,
// for everybody.
func New(handlers map[string]http.Handler, cert *Certificate, clients *Clients, logger *slog.Logger) *Server {
	s := &Server{farewell: FarewellTime, drain: DrainTimeout}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	for path, h := range handlers {
		mux.Handle(path, clients.only(h))
	}
	s.http = &http.Server{
		Handler:           s.partWhenDraining(mux),
		ConnState:         s.countConnections,
		TLSConfig:         clients.tlsConfig(cert.tlsConfig()),
		Protocols:         onlyHTTP1(),
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(errorWriter{logger}, "", 0),
	}
	return s
}

// onlyHTTP1 leaves HTTP/2 out: to webhooks behind a Service the API server
// speaks HTTP/1.1.
func onlyHTTP1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// Serve answers on the listener until the context ends. It then has the clients close
// their connections, for up to FarewellTime, takes no new requests, waits up to
// DrainTimeout for those under way and returns nil if all of them were answered.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.http.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return s.stop()
	})
	return g.Wait()
}

// stop ends the server in order, or at once when that takes too long.
func (s *Server) stop() error {
	s.draining.Store(true)
	s.part()
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("cut off the requests that took longer than %s to end", s.drain), s.http.Close())
	}
	return nil
}

// part goes on answering until the clients have closed all connections, which each
// answer asks them for, or the time for it is over. A connection that the server closes
// by itself may carry a request already: the API server would not send it again, and
// refuse the pod.
func (s *Server) part() {
	over := time.After(s.farewell)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for s.open.Load() > 0 {
		select {
		case <-over:
			return
		case <-look.C:
		}
	}
}

func (s *Server) partWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) countConnections(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed:
		s.open.Add(-1)
	}
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
