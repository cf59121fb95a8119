package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/buildversion"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/metrics"
	"github.com/image-webhook/image-webhook/webhook/podimages"
	"github.com/image-webhook/image-webhook/webhook/server"
)

// serveOptions holds the flags of serve.
type serveOptions struct {
	addr         string
	tlsCert      string
	tlsKey       string
	clientCAFile string
	pullPolicy   string
	metricsAddr  string
	logLevel     string
	logFormat    string
	logChanges   bool

	// These flags can be repeated, and all values apply.
	mirrors        []string
	disallowedTags []string
	exemptImages   []string
}

// logLevels are the values of --log-level.
var (
	logLevels     = []string{"debug", "info", "warn", "error"}
	logLevelsText = strings.Join(logLevels[:3], ", ") + " or " + logLevels[3]
)

// The values of --log-format.
const (
	formatText = "text"
	formatJSON = "json"
)

const serveExamples = `  # Serve with the mirrors of deploy/04-webhook.yaml
  image-webhook serve --registry-mirrors=docker.mirror.example,registry.k8s.io:k8s.mirror.example

  # Serve on localhost without mirrors, with your own certificate
  image-webhook serve --server-addr=localhost:8443 --tls-cert=server.crt --tls-key=server.key

  # Deny also the tag dev, but allow all tags for the images of one team
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
	f.StringVar(&o.addr, "server-addr", ":8443", "listen on this address, `[HOST]:PORT`")
	f.StringVar(&o.tlsCert, "tls-cert", "/tls/cert", "read the certificate from this PEM `file`; reload it when it\nchanges")
	f.StringVar(&o.tlsKey, "tls-key", "/tls/key", "read the certificate's private key from this PEM `file`; reload it\nwhen it changes")
	f.StringVar(&o.clientCAFile, "client-ca-file", "", "answer only callers that present a client certificate of a CA in\nthis PEM `file`; reload it when it changes (default: answer all\ncallers)")
	f.StringArrayVar(&o.mirrors, "registry-mirrors", nil, "pull images from mirrors by these comma-separated `rules`:\nPATTERN=MIRROR, PATTERN:MIRROR (without ports), or MIRROR for\ndocker.io; PATTERN is REGISTRY[/PATH], or * for all other\nregistries; MIRROR is HOST[:PORT][/PATH], or empty to keep the\nimages; the longest PATTERN wins (default: no mirrors)")
	f.StringArrayVar(&o.disallowedTags, "disallowed-tags", []string{"latest"}, "deny images with these comma-separated `tags`, unless a digest\npins them; an image without a tag has the tag\nlatest")
	f.StringArrayVar(&o.exemptImages, "exempt-images", nil, "allow all tags for images that match these comma-separated\n`patterns` REGISTRY[/PATH] (default: no images)")
	f.StringVar(&o.pullPolicy, "image-pull-policy", "", "set this `policy` for all images of new pods: Always makes nodes\nask the registry each time a container starts (default: keep\nthe policy of the pod)")
	f.StringVar(&o.metricsAddr, "metrics-addr", ":9090", "serve metrics for Prometheus on this address, `[HOST]:PORT`,\nwithout TLS, at /metrics; 0: no metrics")
	f.StringVar(&o.logLevel, "log-level", "info", "log messages from this `level` on: "+logLevelsText+";\ndebug logs full reviews and answers, including the environment\nvariables of pods")
	f.StringVar(&o.logFormat, "log-format", formatText, "write each log line in this `format`: text or json")
	f.BoolVar(&o.logChanges, "log-changes", false, "log each changed pod at level info instead of debug")
	registerCompletions(c)
	return c
}

// registerCompletions registers the values that a shell completes. For other flags, the
// shell completes file names.
func registerCompletions(c *cobra.Command) {
	values := map[string][]string{
		"image-pull-policy": {podimages.PullAlways},
		"log-level":         logLevels,
		"log-format":        {formatText, formatJSON},
	}
	for _, flag := range []string{"server-addr", "metrics-addr", "registry-mirrors", "disallowed-tags", "exempt-images"} {
		values[flag] = nil
	}
	for flag, completions := range values {
		if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(completions, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag does not exist
		}
	}
}

// run serves until the context ends.
func (o serveOptions) run(ctx context.Context, stderr io.Writer) error {
	lines := &logBuffer{out: stderr}
	defer func() { _ = lines.Flush() }() // nobody to tell
	log, err := o.newLogger(lines)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	c, err := o.load(log)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := o.serve(ctx, c, log); err != nil {
		return &exitError{exitFailure, err}
	}
	log.Info("stopped")
	return nil
}

// serve answers reviews until the context ends, and serves metrics unless they are disabled.
func (o serveOptions) serve(ctx context.Context, c serverConfig, log *slog.Logger) error {
	l, err := listen("server-addr", o.addr)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // closed already, unless the next line fails
	metricsListener, err := o.listenForMetrics()
	if err != nil {
		return err
	}
	o.logStart(c, l, metricsListener, log)
	counted := metrics.New(buildversion.Of(version), c.policy.Mirrors.Rules())
	report := admission.Reporting{Log: log, LogChanges: o.logChanges, Observe: counted.Observe}
	s := server.New(server.Config{
		Handlers:    admission.Handlers(report, c.policy, c.changes),
		Certificate: c.cert, Clients: c.clients, Log: log, Refused: counted.Refused,
	})
	counted.WatchServer(s)
	counted.WatchFiles(c.cert, c.clients)
	defer serveMetrics(ctx, metricsListener, counted, log)()
	return s.Serve(ctx, l)
}

// logStart logs the flags and the addresses.
func (o serveOptions) logStart(c serverConfig, l, metricsListener net.Listener, log *slog.Logger) {
	metricsAddr := noMetrics
	if metricsListener != nil {
		metricsAddr = metricsListener.Addr().String()
	}
	log.Info("serving", "addr", l.Addr().String(), "metricsAddr", metricsAddr, "mirrors", c.policy.Mirrors.String(),
		"disallowedTags", c.policy.Disallowed.String(), "exemptImages", c.policy.Exempt.String(),
		"imagePullPolicy", o.pullPolicy, "clientCAFile", o.clientCAFile)
	if c.policy.Disallowed.String() == "" {
		log.Warn("--disallowed-tags is empty: only invalid image references are denied")
	}
}

// newLogger returns a logger that writes messages of --log-level and above to out, in
// --log-format.
func (o serveOptions) newLogger(out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if !slices.Contains(logLevels, o.logLevel) || level.UnmarshalText([]byte(o.logLevel)) != nil {
		return nil, fmt.Errorf("--log-level: invalid level %q: use %s", o.logLevel, logLevelsText)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case formatText:
		return slog.New(newRefusalLimit(slog.NewTextHandler(out, options))), nil
	case formatJSON:
		return slog.New(newRefusalLimit(slog.NewJSONHandler(out, options))), nil
	}
	return nil, fmt.Errorf("--log-format: invalid format %q: use %s or %s", o.logFormat, formatText, formatJSON)
}

// serverConfig holds the parsed flags and the loaded files.
type serverConfig struct {
	policy  image.Policy
	changes admission.Changes
	cert    *server.Certificate
	clients *server.Clients
}

// load parses the flags and loads the files that they name.
func (o serveOptions) load(log *slog.Logger) (c serverConfig, err error) {
	if err := o.checkAddrs(); err != nil {
		return c, err
	}
	if c.policy, err = o.policy(); err != nil {
		return c, err
	}
	if c.changes, err = o.changes(c.policy.Mirrors); err != nil {
		return c, err
	}
	if c.cert, err = server.LoadCertificate(o.tlsCert, o.tlsKey, log); err != nil {
		return c, fmt.Errorf("--tls-cert and --tls-key: %w: use the PEM files of a certificate and its private key", err)
	}
	if o.clientCAFile == "" {
		return c, nil
	}
	if c.clients, err = server.LoadClients(o.clientCAFile, log); err != nil {
		return c, fmt.Errorf("--client-ca-file: %w: use a PEM file with the CA certificates of the callers", err)
	}
	return c, nil
}

// policy parses the flags that decide which images are allowed and mirrored.
func (o serveOptions) policy() (p image.Policy, err error) {
	if p.Mirrors, err = image.ParseMirrors(joinLists(o.mirrors)); err != nil {
		return p, fmt.Errorf("--registry-mirrors: %w", err)
	}
	if p.Disallowed, err = image.ParseTags(joinLists(o.disallowedTags)); err != nil {
		return p, fmt.Errorf("--disallowed-tags: %w", err)
	}
	if p.Exempt, err = image.ParsePatterns(joinLists(o.exemptImages)); err == nil {
		err = p.CheckExempt()
	}
	if err != nil {
		return p, fmt.Errorf("--exempt-images: %w", err)
	}
	return p, nil
}

// changes parses the flags that change pods.
func (o serveOptions) changes(mirrors image.Mirrors) (c admission.Changes, err error) {
	const always = podimages.PullAlways
	if o.pullPolicy != "" && o.pullPolicy != always {
		return c, fmt.Errorf("--image-pull-policy: invalid policy %q: use %s, or omit the flag to keep the policy of the pod", o.pullPolicy, always)
	}
	return admission.Changes{Mirrors: mirrors, AlwaysPull: o.pullPolicy == always}, nil
}

// joinLists joins the comma-separated values of a repeated flag.
func joinLists(values []string) string { return strings.Join(values, ",") }
