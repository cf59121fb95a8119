package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/server"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	addr    string
	tlsCert string
	tlsKey  string
	mirrors string
}

func newServe() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer the API server's admission reviews at /validating and /mutating",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.run(c.Context(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.addr, "server-addr", ":8443", "address to serve on, `[HOST]:PORT`")
	f.StringVar(&o.tlsCert, "tls-cert", "/tls/cert", "PEM `file` of the certificate, read again when it changes")
	f.StringVar(&o.tlsKey, "tls-key", "/tls/key", "PEM `file` of the certificate's private key")
	f.StringVar(&o.mirrors, "registry-mirrors", "", "comma-separated `rules`: MIRROR (of docker.io), REGISTRY:MIRROR or, with ports, REGISTRY=MIRROR; MIRROR is HOST[:PORT][/PATH]")
	return c
}

// run serves until the context ends.
func (o serveOptions) run(ctx context.Context, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	mirrors, cert, err := o.load(log)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	l, err := listen(o.addr)
	if err != nil {
		return &exitError{exitFailure, err}
	}
	log.Info("serving", "addr", l.Addr().String(), "mirrors", mirrors.String())
	if err := server.New(handlers(mirrors, log), cert, log).Serve(ctx, l); err != nil {
		return &exitError{exitFailure, err}
	}
	log.Info("stopped")
	return nil
}

// load reads what the flags say and name.
func (o serveOptions) load(log *slog.Logger) (image.Mirrors, *server.Certificate, error) {
	if err := checkAddr(o.addr); err != nil {
		return image.Mirrors{}, nil, fmt.Errorf("--server-addr: %w", err)
	}
	mirrors, err := image.ParseMirrors(o.mirrors)
	if err != nil {
		return image.Mirrors{}, nil, fmt.Errorf("--registry-mirrors: %w", err)
	}
	cert, err := server.LoadCertificate(o.tlsCert, o.tlsKey, log)
	if err != nil {
		return image.Mirrors{}, nil, fmt.Errorf("--tls-cert and --tls-key: %w: expected a PEM certificate and its private key", err)
	}
	return mirrors, cert, nil
}

// handlers are the paths that the webhook configurations name.
func handlers(mirrors image.Mirrors, log *slog.Logger) map[string]http.Handler {
	return map[string]http.Handler{
		"/validating": admission.Handler(log, admission.Deny),
		"/mutating":   admission.Handler(log, admission.Mirror(mirrors)),
	}
}

// checkAddr refuses what is no address with a numeric port.
func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is no address: write [HOST]:PORT with a port from 0 to 65535, such as :8443", addr)
	}
	return nil
}

// listen opens the address, or says what to do about it.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use: stop the program that serves there, or choose another address with --server-addr", addr)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%s is not permitted: choose a port above 1023 with --server-addr", addr)
	case err != nil:
		return nil, fmt.Errorf("cannot serve on %s: %w: choose another address with --server-addr", addr, err)
	}
	return l, nil
}
