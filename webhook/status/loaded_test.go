package status

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/image-webhook/image-webhook/webhook/metrics"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// scrape reads the version from a server that answers with a handler.
func scrape(t *testing.T, ctx context.Context, handler http.Handler) (string, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return scrapeVersion(ctx, connection)
}

func TestMetricsHaveTheVersionOfThePolicy(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(name, []byte(manifestPolicy().Data["policy.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	store, err := policy.Open(name, policy.Flags{}, log)
	if err != nil {
		t.Fatal(err)
	}
	flagsOnly, withFile := metrics.New("v1", nil), metrics.New("v1", nil)
	withFile.WatchPolicy(store)
	if got, err := scrape(t, t.Context(), withFile.Handler(log)); got != manifestVersion(t) || err != nil {
		t.Errorf("with a file: got %q, %v, want %q", got, err, manifestVersion(t))
	}
	if got, err := scrape(t, t.Context(), flagsOnly.Handler(log)); got != "" || err != nil {
		t.Errorf("without a file: got %q, %v", got, err)
	}
}

func TestMetricsPort(t *testing.T) {
	for arg, want := range map[string]int32{"--log-changes": 9090, "--metrics-addr=:9100": 9100, "--metrics-addr=127.0.0.1:9091": 9091, "--metrics-addr=0": 0} {
		pod := replica("webhook-a", "node-a")
		pod.Spec.Containers[0].Args = []string{"serve", arg}
		if got := metricsPort(pod); got != want {
			t.Errorf("%s: got %d, want %d", arg, got, want)
		}
	}
}

func TestMetricsThatCannotBeRead(t *testing.T) {
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for line := strings.Repeat("x", 1023) + "\n"; ; {
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
	})
	if _, err := scrape(t, t.Context(), endless); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a page without an end: %v", err)
	}
	if _, err := scrape(t, t.Context(), http.NotFoundHandler()); err == nil || err.Error() != "the answer has status 404 Not Found" {
		t.Errorf("no page: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if _, err := scrape(t, ctx, silent); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
}
