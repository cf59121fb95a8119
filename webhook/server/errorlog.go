package server

import (
	"context"
	"log/slog"
	"strings"
)

// errorWriter logs each line of net/http as a warning, except for handshakes
// that the client gave up: those are probes of load balancers and port scans,
// and there is nothing to be done about them. A client that rejects the
// certificate says so, and stays a warning.
type errorWriter struct {
	log *slog.Logger
}

// Write logs one line.
func (w errorWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := slog.LevelWarn
	if gaveUp(text) {
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, text)
	return len(line), nil
}

func gaveUp(text string) bool {
	return strings.HasPrefix(text, "http: TLS handshake error") &&
		(strings.HasSuffix(text, "EOF") || strings.HasSuffix(text, "connection reset by peer"))
}
