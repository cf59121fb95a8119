package serviceproxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// listen starts a proxy with a server for web.shop.svc:80.
func listen(t *testing.T) *Proxy {
	t.Helper()
	p, err := Listen(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "answer of "+r.Host)
	}))
	t.Cleanup(server.Close)
	p.Route("web.shop.svc:80", server.Listener.Addr().String())
	return p
}

func TestDialConnectsToProgram(t *testing.T) {
	p := listen(t)
	client := http.Client{Transport: &http.Transport{DialContext: p.Dial, DisableKeepAlives: true}}
	if got := get(t, &client, "http://web.shop.svc/"); got != "answer of web.shop.svc" {
		t.Errorf("got %q", got)
	}
	if _, err := p.Dial(t.Context(), "tcp", "other.shop.svc:80"); err == nil || err.Error() != `no program runs for Service "other.shop.svc:80"` {
		t.Errorf("got %v", err)
	}
}

func TestConnectForwardsToProgram(t *testing.T) {
	p := listen(t)
	socket := p.listener.Addr().String()
	if !strings.Contains(p.EgressSelector(), `udsName: "`+socket+`"`) {
		t.Errorf("socket %s is not in the egress selector:\n%s", socket, p.EgressSelector())
	}
	proxied := &http.Transport{
		DisableKeepAlives: true,
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy"}),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	client := http.Client{Transport: proxied}
	response, err := client.Get("http://web.shop.svc/") // without TLS, a client does not send CONNECT
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %s", response.Status)
	}
	for _, tt := range []struct{ target, status, answer string }{
		{"web.shop.svc:80", "200 OK", "answer of web.shop.svc"},
		{"other.shop.svc:80", "502 Bad Gateway", `no program runs for Service "other.shop.svc:80"`},
	} {
		if got := tunnel(t, socket, tt.target); !strings.Contains(got, "HTTP/1.1 "+tt.status) || !strings.Contains(got, tt.answer) {
			t.Errorf("%s: got %q", tt.target, got)
		}
	}
}

func get(t *testing.T, client *http.Client, address string) string {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// tunnel returns the responses to a CONNECT and to a GET after it.
func tunnel(t *testing.T, socket, target string) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	host, _, _ := net.SplitHostPort(target)
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 200 OK\r\n\r\n"))
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(head) + string(rest)
}
