package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

func loadClients(t *testing.T, ca servertest.CA, log *slog.Logger) *Clients {
	t.Helper()
	clients, err := LoadClients(ca.File, log)
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// outcome is the status of an answer to a client, 0 if there was no handshake,
// and the answer.
func outcome(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestClients(t *testing.T) {
	ca, other := servertest.NewCA(t, t.TempDir()), servertest.NewCA(t, t.TempDir())
	stranger := servertest.New(t, t.TempDir())
	selfSigned, err := tls.LoadX509KeyPair(stranger.CertFile, stranger.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	const client, server = x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	tests := []struct {
		name           string
		shown          []tls.Certificate
		review, probes int // status; 0: no handshake
	}{
		{"no certificate", nil, 401, 200},
		{"for clients", []tls.Certificate{ca.Issue(t, client)}, 200, 200},
		{"for clients and servers", []tls.Certificate{ca.Issue(t, server, client)}, 200, 200},
		{"for any use", []tls.Certificate{ca.Issue(t)}, 200, 200},
		{"for servers alone", []tls.Certificate{ca.Issue(t, server)}, 0, 0},
		{"of another CA", []tls.Certificate{other.Issue(t, client)}, 0, 0},
		{"of no CA", []tls.Certificate{selfSigned}, 0, 0},
	}
	discard := slog.New(slog.DiscardHandler)
	r := startFor(t, loadClients(t, ca, discard), map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, discard)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for path, want := range map[string]int{"/hello": tt.review, "/healthz": tt.probes, "/readyz": tt.probes} {
				if got, body := outcome(t, r.pair.Client(t, tt.shown...), r.url+path); got != want {
					t.Errorf("GET %s: status %d, want %d: %s", path, got, want, body)
				}
			}
		})
	}
}

func TestClientsAreToldAndLogged(t *testing.T) {
	var logged buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	r := startFor(t, loadClients(t, servertest.NewCA(t, t.TempDir()), log), map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler))
	const want = "only callers that show a client certificate of a trusted CA are answered"
	if status, body := outcome(t, r.client, r.url+"/hello"); status != http.StatusUnauthorized || body != want+"\n" {
		t.Errorf("status %d, %q", status, body)
	}
	if line := logged.String(); !strings.Contains(line, `level=WARN msg="refused a request" path=/hello status=401 reason="`+want+`" from=127.0.0.1:`) {
		t.Errorf("log %s", line)
	}
}

func TestClientsAreReloaded(t *testing.T) {
	dir := t.TempDir()
	old := servertest.NewCA(t, dir)
	var logged buffer
	clients := loadClients(t, old, slog.New(slog.NewTextHandler(&logged, nil)))
	var now clock
	clients.cas.now = now.get
	r := startFor(t, clients, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler))
	expect := func(when string, client *http.Client, want int) {
		t.Helper()
		if got, _ := outcome(t, client, r.url+"/hello"); got != want {
			t.Errorf("%s: status %d, want %d", when, got, want)
		}
	}

	ofOld := r.pair.Client(t, old.Issue(t, x509.ExtKeyUsageClientAuth))
	resuming := r.pair.Client(t, old.Issue(t, x509.ExtKeyUsageClientAuth))
	resuming.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	now.add(t, recheck)
	expect("unchanged file", ofOld, 200)
	expect("unchanged file, to be resumed", resuming, 200)
	resuming.CloseIdleConnections()
	expect("unchanged file, resumed", resuming, 200)

	renewed := servertest.NewCA(t, dir)
	ofNew := func() *http.Client { return r.pair.Client(t, renewed.Issue(t, x509.ExtKeyUsageClientAuth)) }
	expect("within the second", ofNew(), 0)
	expect("within the second, of the old CA", ofOld, 200)
	now.add(t, recheck)
	expect("changed file", ofNew(), 200)
	expect("changed file, on a kept connection of the old CA", ofOld, 401)
	ofOld.CloseIdleConnections()
	expect("changed file, of the old CA", ofOld, 0)
	resuming.CloseIdleConnections()
	expect("changed file, resumed of the old CA", resuming, 0)

	truncate(t, renewed.File)
	for range 3 {
		now.add(t, recheck)
		expect("a broken file", ofNew(), 200)
	}
	remove(t, renewed.File)
	now.add(t, recheck)
	expect("no file", ofNew(), 200)
	renewed = servertest.NewCA(t, dir)
	now.add(t, recheck)
	expect("a good file again", ofNew(), 200)

	want := []string{"reloaded the client CAs", "keeping the old client CAs", "keeping the old client CAs", "reloaded the client CAs"}
	if diff := cmp.Diff(want, changesOf(logged.messages())); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// changesOf leaves out the requests that were refused.
func changesOf(messages []string) (changes []string) {
	for _, m := range messages {
		if m != "refused a request" {
			changes = append(changes, m)
		}
	}
	return changes
}

// A certificate that ends while its connection is kept is no longer good.
func TestClientsEnd(t *testing.T) {
	ca := servertest.NewCA(t, t.TempDir())
	discard := slog.New(slog.DiscardHandler)
	clients := loadClients(t, ca, discard)
	var now clock
	clients.cas.now = now.get
	r := startFor(t, clients, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, discard)
	client := r.pair.Client(t, ca.Issue(t, x509.ExtKeyUsageClientAuth))
	now.add(t, 0)
	if got, _ := outcome(t, client, r.url+"/hello"); got != 200 {
		t.Errorf("status %d, want 200", got)
	}
	now.add(t, 2*time.Hour)
	if got, _ := outcome(t, client, r.url+"/hello"); got != 401 {
		t.Errorf("status %d, want 401", got)
	}
}

func TestLoadClients(t *testing.T) {
	good := servertest.NewCA(t, t.TempDir())
	pair := servertest.New(t, t.TempDir())
	block := read(t, good.File)
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")})
	folder := t.TempDir()
	tests := []struct {
		name    string
		content []byte
		want    string // after the name of the file; empty: good
	}{
		{"one", block, ""},
		{"two, with words between them", append(append(bytes.Clone(block), "and\n"...), block...), ""},
		{"empty", []byte{}, " has no certificate"},
		{"text", []byte("no PEM"), " has no certificate"},
		{"a key", read(t, pair.KeyFile), " has no certificate"},
		{"garbage in PEM", garbage, " has a certificate that cannot be read: x509: malformed certificate"},
		{"one is garbage", append(bytes.Clone(block), garbage...), " has a certificate that cannot be read: x509: malformed certificate"},
		{"one is cut off", append(bytes.Clone(block), block[:len(block)/2]...), " has a certificate that is not whole"},
		{"larger than a Secret", bytes.Repeat(block, maxFile/len(block)+1), " is no file of at most 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(folder, "ca")
			if err := os.WriteFile(file, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			var got string
			if _, err := LoadClients(file, slog.New(slog.DiscardHandler)); err != nil {
				got = strings.TrimPrefix(err.Error(), file)
			}
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
	missing := filepath.Join(folder, "none")
	if _, err := LoadClients(missing, slog.New(slog.DiscardHandler)); err == nil || err.Error() != "stat "+missing+": no such file or directory" {
		t.Errorf("a missing file: %v", err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
