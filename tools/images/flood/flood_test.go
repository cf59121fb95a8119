package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"regexp"
	"testing"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/server"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// startWebhook serves the webhook until the test ends, and returns its address.
func startWebhook(t *testing.T) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	pair := servertest.New(t, t.TempDir())
	certificate, err := server.LoadCertificate(pair.CertFile, pair.KeyFile, log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- server.New(server.Config{Handlers: admission.Handlers(admission.Reporting{Log: log}, admission.Fixed(admission.Rules{})), Certificate: certificate, Log: log}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestFloodUsesEachKindOfConnection(t *testing.T) {
	address := startWebhook(t)
	args := []string{"--address=" + address, "--for=2s"}
	for _, k := range kinds {
		args = append(args, "--"+k.name+"=2")
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("got exit code %d, stderr %s", code, &stderr)
	}
	for _, k := range kinds {
		answers := "no answers"
		switch k.name {
		case "reviews", "large":
			answers = `answers: \d+ of status 200`
		case "invalid":
			answers = `answers: \d+ of status 400`
		}
		if want := regexp.MustCompile(`(?m)^` + k.name + `: [1-9]\d* connections opened, 0 failed to open, ` + answers); !want.Match(stdout.Bytes()) {
			t.Errorf("got\n%s, want a line %s", &stdout, want)
		}
	}
}

func TestFloodRefusesInvalidCommandLines(t *testing.T) {
	for _, args := range [][]string{{}, {"--address=x", "y"}, {"--idle=many"}, {"--unknown"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%q: got exit code %d, stderr %q, want 2 and a message", args, code, &stderr)
		}
	}
}
