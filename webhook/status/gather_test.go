package status

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// gather evaluates the installation behind a URL.
func gather(t *testing.T, ctx context.Context, url string) Report {
	t.Helper()
	s, err := Gather(ctx, &rest.Config{Host: url}, DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	return Evaluate(s)
}

// serveAPI starts an API server that answers requests for its version, and passes others to
// answer.
func serveAPI(t *testing.T, answer http.HandlerFunc) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", answer)
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"gitVersion":"v1.37.1"}`) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestServerThatNeverAnswersIsOneProblem(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	url := "http://" + l.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	want := Report{Checks: []Check{{"api-server", Problem, "", url + " does not answer: no answer in time: check the connection, or use a longer --timeout", "kubectl cluster-info"}}}
	if diff := cmp.Diff(want, gather(t, ctx, url)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadsThatNeverEndAreUnknown(t *testing.T) {
	url := serveAPI(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	want := []string{"namespace", "replicas", "versions", "service", "endpoints", "certificate", "renewal", "registration"}
	var got []string
	for _, c := range gather(t, ctx, url).Checks {
		if c.Result == Unknown && c.Message == "not checked: no answer in time: check the connection, or use a longer --timeout" {
			got = append(got, c.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConnectionToReplicaEndsInTime(t *testing.T) {
	url := serveAPI(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := forward(ctx, &rest.Config{Host: url}, replica("webhook-a", "node-a"), 8443)
	if err == nil || describe(err) != describe(context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
