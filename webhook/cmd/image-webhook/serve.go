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
	"github.com/image-webhook/image-webhook/webhook/policy"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
	"github.com/image-webhook/image-webhook/webhook/server"
)

// serveOptions holds the flags of serve.
type serveOptions struct {
	addr         string
	tlsCert      string
	tlsKey       string
	clientCAFile string
	metricsAddr  string
	logLevel     string
	logFormat    string
	logChanges   bool

	rules *ruleflags.Flags
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

  # Serve with the mirrors and rules of a policy file
  image-webhook serve --config=policy.yaml

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
	o.rules = ruleflags.Add(f, "read mirrors and rules from this policy `file`, an ImagePolicy;\nreload it when it changes (default: only flags)")
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
	o.logStart(c.rules(), l, metricsListener, log)
	counted := metrics.New(buildversion.Of(version), c.rules().Changes.Mirrors.Rules())
	report := admission.Reporting{Log: log, LogChanges: o.logChanges, Observe: counted.Observe}
	s := server.New(server.Config{
		Handlers:    admission.Handlers(report, c.rules),
		Certificate: c.cert, Clients: c.clients, Log: log, Refused: counted.Refused,
	})
	counted.WatchServer(s)
	counted.WatchFiles(c.cert, c.clients)
	defer serveMetrics(ctx, metricsListener, counted, log)()
	defer c.watchPolicy(ctx, counted)()
	return s.Serve(ctx, l)
}

// watchPolicy keeps the rules of the policy file and their metrics up to date, if there is a file. The
// returned function ends it.
func (c serverConfig) watchPolicy(ctx context.Context, counted *metrics.Metrics) (stop func()) {
	if c.policy == nil {
		return func() {}
	}
	counted.WatchPolicy(c.policy)
	return inBackground(ctx, func(ctx context.Context) {
		c.policy.Watch(ctx, func(r *admission.Rules) { counted.SetRules(r.Changes.Mirrors.Rules()) })
	})
}

// inBackground runs a function until the returned one is called, also after the end of ctx: reviews are
// still answered then.
func inBackground(ctx context.Context, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() { cancel(); <-done }
}

// maxListed is the maximum size in bytes of a list of rules in the log.
const maxListed = 2048

// logStart logs the rules and the addresses.
func (o serveOptions) logStart(rules *admission.Rules, l, metricsListener net.Listener, log *slog.Logger) {
	metricsAddr := noMetrics
	if metricsListener != nil {
		metricsAddr = metricsListener.Addr().String()
	}
	attrs := []any{"addr", l.Addr().String(), "metricsAddr", metricsAddr, "clientCAFile", o.clientCAFile, "config", o.rules.Config, "version", rules.Version}
	p := &rules.Policy
	for _, list := range []struct {
		name  string
		rules fmt.Stringer
	}{
		{image.ListMirrors, p.Mirrors}, {image.ListTags, p.Disallowed}, {image.ListExempt, p.Exempt},
		{image.ListAllowed, p.Allowed}, {image.ListRequireDigest, p.RequireDigest},
	} {
		text := list.rules.String()
		attrs = append(attrs, list.name, text[:min(len(text), maxListed)])
	}
	pullPolicy := ""
	if rules.Changes.AlwaysPull {
		pullPolicy = podimages.PullAlways
	}
	log.Info("serving", append(attrs, image.ListDenied, p.Denied.Len(), "imagePullPolicy", pullPolicy, "imagePullSecrets", strings.Join(rules.Changes.PullSecrets, ","))...)
	if p.IsEmpty() {
		log.Warn("no rule denies images: only invalid image references are denied")
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
	rules   admission.Source
	policy  *policy.Store // nil without --config
	cert    *server.Certificate
	clients *server.Clients
}

// load parses the flags and loads the files that they name.
func (o serveOptions) load(log *slog.Logger) (c serverConfig, err error) {
	if err := o.checkAddrs(); err != nil {
		return c, err
	}
	if err := o.loadRules(&c, log); err != nil {
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

// loadRules parses the flags of rules and loads the policy file.
func (o serveOptions) loadRules(c *serverConfig, log *slog.Logger) error {
	if o.rules.Config == "" {
		rules, err := o.rules.Load()
		if err == nil {
			c.rules = admission.Fixed(*rules)
		}
		return err
	}
	flags, err := o.rules.Parse()
	if err != nil {
		return err
	}
	if c.policy, err = policy.Open(o.rules.Config, flags, log); err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	c.rules = c.policy.Rules
	return nil
}
