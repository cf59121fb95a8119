package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

// startPlain serves a page until the test ends. It returns its address.
func startPlain(t *testing.T, page http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ServePlain(ctx, l, "/metrics", page, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func getPlain(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

func TestServePlainServesOnePath(t *testing.T) {
	address := startPlain(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/metrics/": 404, "//metrics": 404, "/healthz": 404} {
		if status, _ := getPlain(t, client, "http://"+address+path); status != want {
			t.Errorf("%s: status %d, want %d", path, status, want)
		}
	}
	resp, err := client.Post("http://"+address+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", resp.StatusCode)
	}
}

// TestServePlainAnswersDuringAFlood opens more connections than the limit, from another address,
// each of which asks for the page and does not read it.
func TestServePlainAnswersDuringAFlood(t *testing.T) {
	large := strings.Repeat("x", 8<<20) // more than fits into the buffers of a connection
	address := startPlain(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	flood := (&runningServer{url: "https://" + address}).dialFrom(t, "127.0.0.2", 3*maxPlainConnections)
	for _, conn := range flood {
		_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") // fails if it is already closed
	}
	if status, body := getPlain(t, client, "http://"+address+"/metrics"); status != 200 || body != large {
		t.Errorf("status %d, %d bytes", status, len(body))
	}
	waitClosed(t, flood[0])
}
