package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
	"github.com/image-webhook/image-webhook/webhook/staticpolicy"
)

// staticFlags are the flags of the verb policy for files of the API server.
type staticFlags struct {
	directory string // empty: write objects to standard output
	path      string
	admins    []string
	webhook   string // URL; empty: only policies
	webhookCA string // file
	verify    bool
	timeout   time.Duration
	*connection
}

func addStaticFlags(f *pflag.FlagSet) *staticFlags {
	s := &staticFlags{}
	f.StringVar(&s.directory, "static", "", "write files for the control-plane nodes into this `directory`: policies\nthat no request can change or delete")
	f.StringVar(&s.path, "static-path", "/etc/kubernetes/image-webhook", "with --static, the `path` of the directory on the control-plane nodes\n")
	f.StringArrayVar(&s.admins, "static-admin", nil, "with --static, a `user` who may change and delete image-webhook's objects\nin the API; can be repeated")
	f.StringVar(&s.webhook, "static-webhook", "", "with --static, let the webhook at this `URL` beside each API server deny\nand mirror, instead of policies. With --validating, it mirrors and warns,\nand a policy denies")
	f.StringVar(&s.webhookCA, "static-webhook-ca", "", "with --static-webhook, the `file` with the CA of its certificate")
	f.BoolVar(&s.verify, "verify", false, "with --static, ask an API server whether it accepts the objects before\nwriting them, and then wait until all API servers have loaded the files")
	f.DurationVar(&s.timeout, "verify-timeout", 2*time.Minute, "with --verify, wait no longer than this `duration`")
	s.connection = newConnection(f, "")
	return s
}

// check returns an error if the flags contradict each other.
func (s *staticFlags) check(flags *pflag.FlagSet) error {
	if s.directory == "" {
		if flags.Changed("static") {
			return errors.New(`--static: invalid directory "": use a directory`)
		}
		for _, name := range []string{"static-path", "static-admin", "static-webhook", "static-webhook-ca", "verify"} {
			if flags.Changed(name) {
				return fmt.Errorf("--%s is only for files: add --static", name)
			}
		}
		return nil
	}
	if !path.IsAbs(s.path) {
		return fmt.Errorf("--static-path: invalid path %q: use an absolute path", s.path)
	}
	if s.timeout <= 0 {
		return fmt.Errorf("--verify-timeout: invalid duration %q: use a positive duration such as 2m", s.timeout)
	}
	if slices.ContainsFunc(s.admins, func(user string) bool { return strings.TrimSpace(user) == "" }) {
		return errors.New(`--static-admin: invalid user "": use the name of a user`)
	}
	switch webhook := flags.Changed("static-webhook"); {
	case webhook && s.webhookCA == "":
		return errors.New("--static-webhook needs the CA of the webhook's certificate: add --static-webhook-ca")
	case !webhook && s.webhookCA != "":
		return errors.New("--static-webhook-ca is only for a webhook: add --static-webhook")
	}
	return nil
}

// registration returns the webhook to register, or nil.
func (s *staticFlags) registration(hybrid bool) (*staticpolicy.Webhook, error) {
	if s.webhookCA == "" {
		return nil, nil
	}
	ca, err := os.ReadFile(s.webhookCA)
	if err != nil {
		return nil, fmt.Errorf("--static-webhook-ca: %w", err)
	}
	w := &staticpolicy.Webhook{URL: s.webhook, CA: ca, Hybrid: hybrid}
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("--static-webhook: %w", err)
	}
	return w, nil
}

// checkRelease returns an error for a Kubernetes version that reads no policies from files.
func (s *staticFlags) checkRelease(release *utilversion.Version) error {
	if s.directory != "" && release.LessThan(staticpolicy.Oldest) {
		return fmt.Errorf("--static: Kubernetes %s reads no policies from files: use Kubernetes %s or newer, or omit --static", release, staticpolicy.Oldest)
	}
	return nil
}

// write writes the files of the objects, and prints their paths.
func (s *staticFlags) write(ctx context.Context, objects *celpolicy.Objects, webhook *staticpolicy.Webhook, version string, stdout, stderr io.Writer) error {
	files, err := staticpolicy.Files(objects, staticpolicy.Options{Path: s.path, Admins: s.admins, Version: version, Webhook: webhook})
	if err != nil {
		return fmt.Errorf("--static: %w", err)
	}
	if s.verify {
		if err := s.validate(ctx, files); err != nil {
			return err
		}
	}
	if err := staticpolicy.Write(s.directory, files); err != nil {
		return fmt.Errorf("--static: %w", err)
	}
	for _, file := range files {
		fmt.Fprintln(stdout, "wrote", filepath.Join(s.directory, filepath.FromSlash(file.Path)))
	}
	if s.verify {
		return s.verifyServers(ctx, files, stdout)
	}
	_, err = fmt.Fprintf(stderr, "note: every API server needs the files in %s and --admission-control-config-file=%s; Kubernetes %s also needs --feature-gates=%s=true\n",
		s.path, path.Join(s.path, staticpolicy.ConfigurationFile), staticpolicy.Oldest, staticpolicy.FeatureGate)
	if webhook != nil {
		fmt.Fprintf(stderr, "note: the API servers call %s with the client certificate in %s: start the webhook before you copy the files\n",
			webhook.URL, path.Join(s.path, staticpolicy.ClientCertificate))
	}
	return err
}

// validate returns an error if the API server does not accept the objects.
func (s *staticFlags) validate(ctx context.Context, files []generatedfiles.File) error {
	config, err := s.load()
	if err != nil {
		return err
	}
	if err := staticpolicy.Validate(ctx, config, files); err != nil {
		return fmt.Errorf("--verify: %w: no file was written", err)
	}
	return nil
}

// verifyServers prints what each API server has loaded.
func (s *staticFlags) verifyServers(ctx context.Context, files []generatedfiles.File, stdout io.Writer) error {
	config, err := s.load()
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	states, err := staticpolicy.Verify(limited, config, files)
	if err != nil {
		return fmt.Errorf("--verify: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err // interrupted
	}
	for _, state := range states {
		if state.Fault != "" {
			err = exitFailure
		}
		fmt.Fprintf(stdout, "API server %s: %s\n", state.Server, cmp.Or(state.Fault, "has loaded these files"))
	}
	return err
}
