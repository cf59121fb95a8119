package main

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

// refusalsPerSecond limits the log lines about requests and connections that the server refuses.
// Any client can cause them, and a flood must not push the denials out of a rotated log.
const refusalsPerSecond = 10

// refusalMessages are the messages of these lines.
var refusalMessages = map[string]bool{
	"refused a request":   true, // webhook/admission and webhook/server
	"closed a connection": true, // webhook/server
	"connection failed":   true,
}

// refusalLimit is a slog.Handler that drops refusals that exceed refusalsPerSecond. The next
// line has their number.
type refusalLimit struct {
	slog.Handler
	limiter *rate.Limiter

	mu      sync.Mutex
	dropped int
}

func newRefusalLimit(next slog.Handler) *refusalLimit {
	return &refusalLimit{Handler: next, limiter: rate.NewLimiter(refusalsPerSecond, refusalsPerSecond)}
}

// Handle logs a record, unless it is one refusal too many.
func (h *refusalLimit) Handle(ctx context.Context, r slog.Record) error {
	if !refusalMessages[r.Message] {
		return h.Handler.Handle(ctx, r)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.limiter.AllowN(r.Time, 1) {
		h.dropped++
		return nil
	}
	if h.dropped > 0 {
		r.AddAttrs(slog.Int("dropped", h.dropped))
		h.dropped = 0
	}
	return h.Handler.Handle(ctx, r)
}
