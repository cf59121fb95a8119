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
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
	"github.com/image-webhook/image-webhook/webhook/server"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	addr         string
	tlsCert      string
	tlsKey       string
	clientCAFile string
	pullPolicy   string
	logLevel     string

	// Each of these can be given more than once; all of them count.
	mirrors        []string
	disallowedTags []string
	exemptImages   []string
}

// levels are the values of --log-level, which log/slog reads; anyLevel is for a sentence.
var (
	levels   = []string{"debug", "info", "warn", "error"}
	anyLevel = strings.Join(levels[:3], ", ") + " or " + levels[3]
)

const serveExamples = `  # As deploy/04-webhook.yaml does
  image-webhook serve --registry-mirrors=docker.mirror.example,registry.k8s.io:k8s.mirror.example

  # Without mirrors, on this machine, with a key pair of one's own
  image-webhook serve --server-addr=localhost:8443 --tls-cert=server.crt --tls-key=server.key

  # Another tag may not be used either, except for the images of a team
  image-webhook serve --disallowed-tags=latest,dev --exempt-images=quay.io/team`

func newServe() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:               "serve",
		Short:             "Answer the API server's admission reviews",
		Example:           serveExamples,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.run(c.Context(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.addr, "server-addr", ":8443", "address to serve on, `[HOST]:PORT`")
	f.StringVar(&o.tlsCert, "tls-cert", "/tls/cert", "PEM `file` of the certificate, read again when it changes")
	f.StringVar(&o.tlsKey, "tls-key", "/tls/key", "PEM `file` of the certificate's private key")
	f.StringVar(&o.clientCAFile, "client-ca-file", "", "PEM `file` of CAs, read again when it changes; only callers that show a client\ncertificate of one of them may ask for a review; without it, everybody may")
	f.StringArrayVar(&o.mirrors, "registry-mirrors", nil, "comma-separated `rules` PATTERN=MIRROR, or PATTERN:MIRROR without ports, or MIRROR\nalone for docker.io; PATTERN is REGISTRY[/PATH], or * for all others; MIRROR is\nHOST[:PORT][/PATH], or nothing to leave the images alone; the longest PATTERN wins")
	f.StringArrayVar(&o.disallowedTags, "disallowed-tags", []string{"latest"}, "comma-separated `tags` that no image may have, unless a digest pins it; no tag\nmeans latest")
	f.StringArrayVar(&o.exemptImages, "exempt-images", nil, "comma-separated `patterns` REGISTRY[/PATH] of images that may have any tag")
	f.StringVar(&o.pullPolicy, "image-pull-policy", "", "`policy` that all images of new pods get: Always, so that nodes ask the registry\neach time a container starts; without it, the policy stays as it is")
	f.StringVar(&o.logLevel, "log-level", "info", "least `level` of what is logged: "+anyLevel+"; debug logs each review\nand its answer in full, with whatever a pod's environment holds")
	complete(c)
	return c
}

// complete says which values a shell completes: those of the other flags are files.
func complete(c *cobra.Command) {
	values := map[string][]string{
		"image-pull-policy": {string(podimages.PullAlways)},
		"log-level":         levels,
	}
	for _, none := range []string{"server-addr", "registry-mirrors", "disallowed-tags", "exempt-images"} {
		values[none] = nil
	}
	for flag, known := range values {
		if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag is another one
		}
	}
}

// run serves until the context ends.
func (o serveOptions) run(ctx context.Context, stderr io.Writer) error {
	log, err := o.logger(stderr)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	c, err := o.load(log)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	l, err := listen(o.addr)
	if err != nil {
		return &exitError{exitFailure, err}
	}
	log.Info("serving", "addr", l.Addr().String(), "mirrors", c.policy.Mirrors.String(),
		"disallowedTags", c.policy.Disallowed.String(), "exemptImages", c.policy.Exempt.String(),
		"imagePullPolicy", o.pullPolicy, "clientCAFile", o.clientCAFile)
	if c.policy.Disallowed.String() == "" {
		log.Warn("no tag is disallowed: only images that cannot be read are denied")
	}
	if err := server.New(c.handlers(log), c.cert, c.clients, log).Serve(ctx, l); err != nil {
		return &exitError{exitFailure, err}
	}
	log.Info("stopped")
	return nil
}

// logger writes lines of at least the level to stderr.
func (o serveOptions) logger(stderr io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if !slices.Contains(levels, o.logLevel) || level.UnmarshalText([]byte(o.logLevel)) != nil {
		return nil, fmt.Errorf("--log-level: %q is no level: write %s", o.logLevel, anyLevel)
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})), nil
}

// config is what the flags say and name.
type config struct {
	policy  image.Policy
	changes admission.Changes
	cert    *server.Certificate
	clients *server.Clients
}

// load reads what the flags say and name.
func (o serveOptions) load(log *slog.Logger) (c config, err error) {
	if err := checkAddr(o.addr); err != nil {
		return c, fmt.Errorf("--server-addr: %w", err)
	}
	if c.policy, err = o.policy(); err != nil {
		return c, err
	}
	if c.changes, err = o.changes(c.policy.Mirrors); err != nil {
		return c, err
	}
	if c.cert, err = server.LoadCertificate(o.tlsCert, o.tlsKey, log); err != nil {
		return c, fmt.Errorf("--tls-cert and --tls-key: %w: expected a PEM certificate and its private key", err)
	}
	if o.clientCAFile == "" {
		return c, nil
	}
	if c.clients, err = server.LoadClients(o.clientCAFile, log); err != nil {
		return c, fmt.Errorf("--client-ca-file: %w: expected the PEM certificates of the CAs of those who may ask", err)
	}
	return c, nil
}

// policy reads what may run and what is mirrored where.
func (o serveOptions) policy() (p image.Policy, err error) {
	if p.Mirrors, err = image.ParseMirrors(list(o.mirrors)); err != nil {
		return p, fmt.Errorf("--registry-mirrors: %w", err)
	}
	if p.Disallowed, err = image.ParseTags(list(o.disallowedTags)); err != nil {
		return p, fmt.Errorf("--disallowed-tags: %w", err)
	}
	if p.Exempt, err = image.ParsePatterns(list(o.exemptImages)); err == nil {
		err = p.CheckExempt()
	}
	if err != nil {
		return p, fmt.Errorf("--exempt-images: %w", err)
	}
	return p, nil
}

// changes reads what is done to the images of pods.
func (o serveOptions) changes(mirrors image.Mirrors) (c admission.Changes, err error) {
	always := string(podimages.PullAlways)
	if o.pullPolicy != "" && o.pullPolicy != always {
		return c, fmt.Errorf("--image-pull-policy: %q cannot be set: write %s, or leave the flag out to keep what is written", o.pullPolicy, always)
	}
	return admission.Changes{Mirrors: mirrors, AlwaysPull: o.pullPolicy == always}, nil
}

// list is the list that a flag's values make together.
func list(values []string) string { return strings.Join(values, ",") }

// handlers are the paths that the webhook configurations name, of which the mode
// of its namespace decides which is asked about an object, and the one that the
// configuration of the API server's plugin ImagePolicyWebhook names.
func (c config) handlers(log *slog.Logger) map[string]http.Handler {
	return map[string]http.Handler{
		"/validating":              admission.Handler(log, admission.Deny(c.policy)),
		"/validating/warn":         admission.Handler(log, admission.Warn(c.policy)),
		"/validating/unknown-mode": admission.Handler(log, admission.UnknownMode),
		"/mutating":                admission.Handler(log, admission.Mutate(c.changes)),
		"/image-policy":            admission.ImageReviews(log, c.policy),
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
