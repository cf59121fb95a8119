package loadtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/metrics"
	"github.com/image-webhook/image-webhook/webhook/server"
)

// The paths of the reviews. The floor answers every path.
const (
	mutating   = "/mutating"
	validating = "/validating"
	anyPath    = "/"
)

// Floor and Webhook are contenders to which others are compared.
const (
	Floor   = "floor"
	Webhook = "image-webhook"
)

// contender is a server to measure.
type contender struct {
	name  string
	paths []string
	serve serveFunc
}

// serveFunc serves on a listener until the context ends.
type serveFunc func(ctx context.Context, l net.Listener, c certificate, log *slog.Logger) error

// contenders are all contenders. All except the floor have the same answers.
var contenders = []contender{
	{Floor, []string{anyPath}, plain(floorHandlers)},
	{Webhook, []string{mutating, validating}, serveWebhook},
	{"controller-runtime", []string{mutating, validating}, plain(controllerRuntimeHandlers)},
	{"typed-decode", []string{mutating, validating}, plain(typedHandlers)},
}

// ContenderNames returns the names of all contenders.
func ContenderNames() (names []string) {
	for _, c := range contenders {
		names = append(names, c.name)
	}
	return names
}

// chooseContenders returns contenders by name; no names: all.
func chooseContenders(names []string) (chosen []contender, err error) {
	if len(names) == 0 {
		names = ContenderNames()
	}
	for _, name := range names {
		c, err := findContender(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, c)
	}
	return chosen, nil
}

// CheckNames returns an error for an unknown name of a contender or a review.
func CheckNames(contenders, reviews []string) error {
	for _, name := range contenders {
		if _, err := findContender(name); err != nil {
			return err
		}
	}
	for _, name := range reviews {
		if !slices.Contains(ReviewNames, name) {
			return fmt.Errorf("unknown review %q: use one of %s", name, strings.Join(ReviewNames, ", "))
		}
	}
	return nil
}

func findContender(name string) (contender, error) {
	for _, c := range contenders {
		if c.name == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("unknown contender %q: use one of %s", name, strings.Join(ContenderNames(), ", "))
}

// plain returns a serveFunc that serves handlers with net/http, and with the TLS settings of the
// webhook.
func plain(newHandlers func() (map[string]http.Handler, error)) serveFunc {
	return func(ctx context.Context, l net.Listener, c certificate, _ *slog.Logger) error {
		handlers, err := newHandlers()
		if err != nil {
			return err
		}
		pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
		if err != nil {
			return err
		}
		mux := http.NewServeMux()
		for path, handler := range handlers {
			mux.Handle(path, handler)
		}
		return serveUntilDone(ctx, l, &http.Server{Handler: mux, TLSConfig: &tls.Config{
			MinVersion:                  tls.VersionTLS12,
			NextProtos:                  []string{"http/1.1"},
			DynamicRecordSizingDisabled: true,
			Certificates:                []tls.Certificate{pair},
		}})
	}
}

// serveUntilDone serves until the context ends, and then closes all connections.
func serveUntilDone(ctx context.Context, l net.Listener, s *http.Server) error {
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveWebhook serves the handlers of the webhook as its program does, but in this process.
func serveWebhook(ctx context.Context, l net.Listener, c certificate, log *slog.Logger) (err error) {
	var policy image.Policy
	if policy.Mirrors, err = image.ParseMirrors(MirrorRules); err != nil {
		return err
	}
	if policy.Disallowed, err = image.ParseTags("latest"); err != nil {
		return err
	}
	pair, err := server.LoadCertificate(c.certFile, c.keyFile, log)
	if err != nil {
		return err
	}
	counted := metrics.New("", policy.Mirrors.Rules())
	report := admission.Reporting{Log: log, Observe: counted.Observe}
	handlers := admission.Handlers(report, admission.Fixed(admission.Rules{Policy: policy, Changes: admission.Changes{Mirrors: policy.Mirrors}}))
	return server.New(server.Config{Handlers: handlers, Certificate: pair, Log: log}).Serve(ctx, l)
}
