package server

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// maxProblem is the number of bytes of a line that are logged. A line can contain what a stranger has
// sent in a handshake.
const maxProblem = 1 << 10

// errorWriter logs each line of net/http's error log as a warning. It logs handshakes
// that the client aborts at level debug, because load balancer probes and port scans
// cause them. A client that rejects the certificate sends a TLS alert, which stays a
// warning. It counts the warnings.
type errorWriter struct {
	log      *slog.Logger
	warnings *atomic.Uint64
}

// Write logs one line.
func (w errorWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line[:min(len(line), maxProblem)]))
	level := slog.LevelDebug
	if !isAbortedHandshake(text) {
		level = slog.LevelWarn
		w.warnings.Add(1)
	}
	w.log.Log(context.Background(), level, "connection failed", "problem", text)
	return len(line), nil
}

func isAbortedHandshake(text string) bool {
	return strings.HasPrefix(text, "http: TLS handshake error") &&
		(strings.HasSuffix(text, "EOF") || strings.HasSuffix(text, "connection reset by peer"))
}
