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

// open makes a network with a server behind web.shop.svc:80.
func open(t *testing.T) *Network {
	t.Helper()
	n, err := Listen(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "you asked "+r.Host)
	}))
	t.Cleanup(server.Close)
	n.Route("web.shop.svc:80", server.Listener.Addr().String())
	return n
}

func TestDial(t *testing.T) {
	n := open(t)
	client := http.Client{Transport: &http.Transport{DialContext: n.Dial, DisableKeepAlives: true}}
	if got := get(t, &client, "http://web.shop.svc/"); got != "you asked web.shop.svc" {
		t.Errorf("got %q", got)
	}
	if _, err := n.Dial(t.Context(), "tcp", "other.shop.svc:80"); err == nil || err.Error() != "nothing stands behind other.shop.svc:80" {
		t.Errorf("got %v", err)
	}
}

// The API server's side: CONNECT over the socket that EgressSelector names.
func TestConnect(t *testing.T) {
	n := open(t)
	socket := n.listener.Addr().String()
	if !strings.Contains(n.EgressSelector(), `udsName: "`+socket+`"`) {
		t.Errorf("the API server is not told of %s:\n%s", socket, n.EgressSelector())
	}
	proxied := &http.Transport{
		DisableKeepAlives: true,
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy"}),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	client := http.Client{Transport: proxied}
	response, err := client.Get("http://web.shop.svc/") // without TLS a client does not tunnel
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a GET: %s", response.Status)
	}
	for _, tt := range []struct{ target, status, answer string }{
		{"web.shop.svc:80", "200 OK", "you asked web.shop.svc"},
		{"other.shop.svc:80", "502 Bad Gateway", "nothing stands behind other.shop.svc:80"},
	} {
		if said := tunnel(t, socket, tt.target); !strings.Contains(said, "HTTP/1.1 "+tt.status) || !strings.Contains(said, tt.answer) {
			t.Errorf("%s said %q", tt.target, said)
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

// tunnel returns all that is said to a CONNECT and a GET after it.
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
