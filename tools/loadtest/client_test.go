package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startServer serves a handler over TLS and returns connections to it.
func startServer(t *testing.T, connections int, handler http.HandlerFunc) []*connection {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	all, err := connectAll(t.Context(), connections, s.Listener.Addr().String(), s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(all) })
	return all
}

func TestRequestIsThatOfTheAPIServer(t *testing.T) {
	var got *http.Request
	var body []byte
	c := startServer(t, 1, func(_ http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		body, _ = io.ReadAll(r.Body)
	})[0]
	if err := c.post(newRequest("/mutating", []byte(`{"kind":"AdmissionReview"}`))); err != nil {
		t.Fatal(err)
	}
	if line := got.Method + " " + got.RequestURI + " " + got.Host; line != "POST /mutating?timeout=5s webhook.image-webhook.svc:443" {
		t.Errorf("request %s", line)
	}
	want := http.Header{
		"User-Agent": {"kube-apiserver-admission"}, "Content-Length": {"26"}, "Accept": {"application/json, */*"},
		"Content-Type": {"application/json"}, "Accept-Encoding": {"gzip"},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if string(body) != `{"kind":"AdmissionReview"}` {
		t.Errorf("body %q", body)
	}
}

func TestPostReadsEveryResponse(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 10_000)
	bodies := map[string]http.HandlerFunc{
		"":      func(http.ResponseWriter, *http.Request) {},
		"short": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") },
		large:   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) }, // chunked
		"two chunks": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "two ")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "chunks")
		},
	}
	for want, handler := range bodies {
		c := startServer(t, 1, handler)[0]
		for range 3 { // on one connection
			if err := c.post(newRequest("/", []byte("review"))); err != nil {
				t.Errorf("%.20s: %v", want, err)
			}
			if string(c.body) != want {
				t.Errorf("got %d bytes %.20q, want %d bytes %.20q", len(c.body), c.body, len(want), want)
			}
		}
	}
}

func TestPostReturnsStatusAsError(t *testing.T) {
	c := startServer(t, 1, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too many reviews", http.StatusServiceUnavailable)
	})[0]
	const want = "the server answered with status 503, want 200: too many reviews"
	if err := c.post(newRequest("/", nil)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestInvalidResponsesAreRefused(t *testing.T) {
	for response, want := range map[string]string{
		"":                        "EOF",
		"HTTP/1.1 200 OK\r\n":     "EOF",
		"HTTP/2 200\r\n":          `invalid status line "HTTP/2 200"`,
		"HTTP/1.1 20\r\n":         `invalid status line "HTTP/1.1 20"`,
		"HTTP/1.1 -20 OK\r\n":     `strconv.ParseUint: parsing "-20": invalid syntax`,
		"HTTP/1.1 200 OK\r\n\r\n": "the response has neither a Content-Length nor chunks",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":                       `strconv.ParseUint: parsing "-1": invalid syntax`,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort":                   "unexpected EOF",
		"HTTP/1.1 200 OK\r\nconnection: Close\r\nContent-Length: 0\r\n\r\n":   "the server closes the connection",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n":   `invalid end of a chunk: "c"`,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n":          `strconv.ParseUint: parsing "x": invalid syntax`,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r": "EOF",
	} {
		c := &connection{in: bufio.NewReader(strings.NewReader(response))}
		if _, err := c.readResponse(); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", response, err, want)
		}
	}
}

// The client must not distort what a server allocates.
func TestPostAllocatesLittle(t *testing.T) {
	response := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nshort"
	chunks := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n"
	source := bytes.NewReader(nil)
	c := &connection{in: bufio.NewReader(source), body: make([]byte, 0, 64)}
	for _, text := range []string{response, chunks} {
		content := []byte(text)
		allocations := testing.AllocsPerRun(100, func() {
			source.Reset(content)
			c.in.Reset(source)
			if _, err := c.readResponse(); err != nil || string(c.body) != "short" {
				t.Fatalf("body %q, %v", c.body, err)
			}
		})
		if allocations > 0 {
			t.Errorf("%.0f allocations for %q, want none", allocations, text)
		}
	}
}

func TestLoadCountsEveryRequest(t *testing.T) {
	for name, l := range map[string]load{
		"closed loop": {duration: 20 * time.Millisecond},
		"fixed rate":  {duration: 50 * time.Millisecond, rate: 1000},
	} {
		var served atomic.Int64
		connections := startServer(t, 3, func(http.ResponseWriter, *http.Request) { served.Add(1) })
		got, err := l.send(t.Context(), connections, newRequest("/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got.latencies); n == 0 || int64(n) != served.Load() {
			t.Errorf("%s: %d latencies, but the server got %d requests", name, n, served.Load())
		}
		if l.rate > 0 && len(got.latencies)+got.unsent != 50 {
			t.Errorf("%s: %d requests sent and %d not, want 50 in total", name, len(got.latencies), got.unsent)
		}
		for _, latency := range got.latencies {
			if latency <= 0 || latency > got.elapsed {
				t.Errorf("%s: a latency of %s in a load of %s", name, latency, got.elapsed)
			}
		}
	}
}

// With a stalled server, a load must end, and count the requests that it did not send. A busy machine
// can start a load after its end: it still sends one request.
func TestLoadSendsOnlyTheFirstRequestAfterItsEnd(t *testing.T) {
	for _, rate := range []int{0, 1000} {
		l := load{duration: time.Second, rate: rate}
		for start, want := range map[time.Time]bool{time.Now().Add(time.Hour): true, time.Now().Add(-time.Hour): false} {
			next, err := l.schedule(start)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := next(); !ok {
				t.Errorf("rate %d, started at %s: the first request is not sent", rate, start)
			}
			if _, ok := next(); ok != want {
				t.Errorf("rate %d, started at %s: the second request is sent: %t, want %t", rate, start, ok, want)
			}
		}
	}
}

func TestLatencyStartsWhenTheRequestIsDue(t *testing.T) {
	c := startServer(t, 1, func(http.ResponseWriter, *http.Request) {})[0]
	due := []time.Time{time.Now().Add(-2 * time.Hour), time.Now().Add(-time.Hour)}
	latencies, err := c.sendScheduled(newRequest("/", nil), func() (next time.Time, ok bool) {
		if len(due) == 0 {
			return next, false
		}
		next, due = due[0], due[1:]
		return next, true
	})
	if err != nil || len(latencies) != 2 || latencies[0] < 2*time.Hour || latencies[1] < time.Hour || latencies[1] > 2*time.Hour {
		t.Errorf("latencies %v, %v", latencies, err)
	}
}

func TestLoadFailsWithTheServer(t *testing.T) {
	var served atomic.Int64
	connections := startServer(t, 2, func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1) > 10 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	_, err := load{duration: time.Minute}.send(t.Context(), connections, newRequest("/", nil))
	if err == nil || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("got %v, want an error with status 500", err)
	}
}

func TestInterruptedLoadReturnsTheCause(t *testing.T) {
	cause := errors.New("interrupted")
	ctx, interrupt := context.WithCancelCause(t.Context())
	connections := startServer(t, 2, func(_ http.ResponseWriter, r *http.Request) {
		interrupt(cause)
		<-r.Context().Done() // without an interrupt of the client, it waits forever
	})
	if _, err := (load{duration: time.Minute}).send(ctx, connections, newRequest("/", nil)); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

func TestPaceReturnsEveryDueTime(t *testing.T) {
	start := time.Now()
	due, err := pace(start, time.Millisecond, 7)
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Duration
	for next := range due {
		if time.Now().Before(next) {
			t.Errorf("%s is returned before it has come", next.Sub(start))
		}
		got = append(got, next.Sub(start))
	}
	var want []time.Duration
	for i := range 7 {
		want = append(want, time.Duration(i+1)*time.Millisecond)
	}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}
