package server

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// maxPlainConnections is enough for several Prometheus servers.
	maxPlainConnections = 64
	// plainTimeout limits the time until a request has arrived, and then the time until the client
	// has read the answer. A Prometheus server waits ten seconds for both.
	plainTimeout = 5 * time.Second
)

// ServePlain serves a handler at one path, without TLS, until the context ends. It is for metrics:
// it does not wait for requests in flight.
func ServePlain(ctx context.Context, l net.Listener, path string, h http.Handler, logger *slog.Logger) error {
	s := &http.Server{
		Handler:        only(path, h),
		ConnState:      newConnections(maxPlainConnections, logger).track,
		Protocols:      http1Only(),
		ReadTimeout:    plainTimeout,
		WriteTimeout:   plainTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       log.New(errorWriter{logger, new(atomic.Uint64)}, "", 0),
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// only returns a handler for GET and HEAD requests to one path.
func only(path string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != path:
			http.NotFound(w, r)
		case isGet(w, r):
			h.ServeHTTP(w, r)
		}
	})
}
