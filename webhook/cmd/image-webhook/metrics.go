package main

import (
	"context"
	"log/slog"
	"net"

	"github.com/image-webhook/image-webhook/webhook/metrics"
	"github.com/image-webhook/image-webhook/webhook/server"
)

// listenForMetrics returns the listener for metrics, or nil if they are disabled.
func (o serveOptions) listenForMetrics() (net.Listener, error) {
	if o.metricsAddr == noMetrics {
		return nil, nil
	}
	return listen("metrics-addr", o.metricsAddr)
}

// serveMetrics starts to serve metrics. The returned function ends it. Metrics are served until
// the last review is answered. An error does not affect reviews.
func serveMetrics(ctx context.Context, l net.Listener, counted *metrics.Metrics, log *slog.Logger) (stop func()) {
	if l == nil {
		return func() {}
	}
	return inBackground(ctx, func(ctx context.Context) {
		if err := server.ServePlain(ctx, l, "/metrics", counted.Handler(log), log); err != nil {
			log.Error("metrics are not served any more", "problem", err)
		}
	})
}
