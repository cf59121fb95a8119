package loadtest

import (
	"context"
	"io"
	"log/slog"
	"net"
)

// Serve serves a contender until the context ends. It logs its address like the webhook, as
// `msg=serving addr=HOST:PORT`.
func Serve(ctx context.Context, name, certFile, keyFile string, stderr io.Writer) error {
	c, err := findContender(name)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	log.Info("serving", "addr", l.Addr().String())
	return c.serve(ctx, l, certificate{certFile: certFile, keyFile: keyFile}, log)
}
