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

	"github.com/image-webhook/image-webhook/webhook/reload"
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

// fetchStatus returns the status and the body of a response, or 0 if the handshake failed.
func fetchStatus(t *testing.T, client *http.Client, url string) (int, string) {
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

func TestClientsNeedATrustedCertificate(t *testing.T) {
	ca, other := servertest.NewCA(t, t.TempDir()), servertest.NewCA(t, t.TempDir())
	stranger := servertest.New(t, t.TempDir())
	selfSigned, err := tls.LoadX509KeyPair(stranger.CertFile, stranger.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	const client, server = x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	tests := []struct {
		name           string
		certificates   []tls.Certificate // that the client presents
		review, probes int               // expected status; 0: the handshake fails
	}{
		{"no certificate", nil, 401, 200},
		{"for clients", []tls.Certificate{ca.Issue(t, client)}, 200, 200},
		{"for clients and servers", []tls.Certificate{ca.Issue(t, server, client)}, 200, 200},
		{"for any use", []tls.Certificate{ca.Issue(t)}, 200, 200},
		{"for servers only", []tls.Certificate{ca.Issue(t, server)}, 0, 0},
		{"from another CA", []tls.Certificate{other.Issue(t, client)}, 0, 0},
		{"self-signed", []tls.Certificate{selfSigned}, 0, 0},
	}
	discard := slog.New(slog.DiscardHandler)
	r := startForClients(t, loadClients(t, ca, discard), map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, discard)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for path, want := range map[string]int{"/hello": tt.review, "/healthz": tt.probes, "/readyz": tt.probes} {
				if got, body := fetchStatus(t, r.pair.Client(t, tt.certificates...), r.url+path); got != want {
					t.Errorf("GET %s: got status %d, want %d: %s", path, got, want, body)
				}
			}
		})
	}
}

func TestClientsGetAReasonThatIsLogged(t *testing.T) {
	var logged servertest.LockedBuffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	r := startForClients(t, loadClients(t, servertest.NewCA(t, t.TempDir()), log), map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler))
	const want = "client certificate required: present one that a trusted CA has signed"
	if status, body := fetchStatus(t, r.client, r.url+"/hello"); status != http.StatusUnauthorized || body != want+"\n" {
		t.Errorf("got status %d, body %q, want 401 %q", status, body, want)
	}
	if line := logged.String(); !strings.Contains(line, `level=WARN msg="refused a request" path=/hello status=401 reason="`+want+`" from=127.0.0.1:`) {
		t.Errorf("got log line %s", line)
	}
}

func TestClientsAreReloadedWhenTheFileChanges(t *testing.T) {
	dir := t.TempDir()
	old := servertest.NewCA(t, dir)
	var logged servertest.LockedBuffer
	clients := loadClients(t, old, slog.New(slog.NewTextHandler(&logged, nil)))
	var now clock
	clients.cas.Now = now.get
	r := startForClients(t, clients, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, slog.New(slog.DiscardHandler))
	checkStatus := func(situation string, client *http.Client, want int) {
		t.Helper()
		if got, _ := fetchStatus(t, client, r.url+"/hello"); got != want {
			t.Errorf("%s: got status %d, want %d", situation, got, want)
		}
	}

	oldClient := r.pair.Client(t, old.Issue(t, x509.ExtKeyUsageClientAuth))
	resuming := r.pair.Client(t, old.Issue(t, x509.ExtKeyUsageClientAuth))
	resuming.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	now.add(t, reload.CheckInterval)
	checkStatus("unchanged file", oldClient, 200)
	checkStatus("unchanged file, first session", resuming, 200)
	resuming.CloseIdleConnections()
	checkStatus("unchanged file, resumed session", resuming, 200)

	renewed := servertest.NewCA(t, dir)
	newClient := func() *http.Client { return r.pair.Client(t, renewed.Issue(t, x509.ExtKeyUsageClientAuth)) }
	checkStatus("changed file, before the next check", newClient(), 0)
	checkStatus("changed file, before the next check, old CA", oldClient, 200)
	now.add(t, reload.CheckInterval)
	checkStatus("changed file", newClient(), 200)
	checkStatus("changed file, old CA, kept connection", oldClient, 401)
	oldClient.CloseIdleConnections()
	checkStatus("changed file, old CA, new connection", oldClient, 0)
	resuming.CloseIdleConnections()
	checkStatus("changed file, old CA, resumed session", resuming, 0)

	truncate(t, renewed.File)
	for range 3 {
		now.add(t, reload.CheckInterval)
		checkStatus("truncated file", newClient(), 200)
	}
	remove(t, renewed.File)
	now.add(t, reload.CheckInterval)
	checkStatus("missing file", newClient(), 200)
	renewed = servertest.NewCA(t, dir)
	now.add(t, reload.CheckInterval)
	checkStatus("valid file again", newClient(), 200)

	want := []string{"reloaded the client CAs", "keeping the old client CAs", "keeping the old client CAs", "reloaded the client CAs"}
	if diff := cmp.Diff(want, withoutRefusals(logMessages(&logged))); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// withoutRefusals removes the messages about refused requests.
func withoutRefusals(messages []string) (others []string) {
	for _, m := range messages {
		if m != "refused a request" {
			others = append(others, m)
		}
	}
	return others
}

func TestClientsExpireOnKeptConnections(t *testing.T) {
	ca := servertest.NewCA(t, t.TempDir())
	discard := slog.New(slog.DiscardHandler)
	clients := loadClients(t, ca, discard)
	var now clock
	clients.cas.Now = now.get
	r := startForClients(t, clients, map[string]http.Handler{"/hello": http.HandlerFunc(hello)}, discard)
	client := r.pair.Client(t, ca.Issue(t, x509.ExtKeyUsageClientAuth))
	now.add(t, 0)
	if got, _ := fetchStatus(t, client, r.url+"/hello"); got != 200 {
		t.Errorf("valid certificate: got status %d, want 200", got)
	}
	now.add(t, 2*time.Hour)
	if got, _ := fetchStatus(t, client, r.url+"/hello"); got != 401 {
		t.Errorf("expired certificate: got status %d, want 401", got)
	}
}

func TestLoadClientsNamesFileAndCause(t *testing.T) {
	valid := servertest.NewCA(t, t.TempDir())
	pair := servertest.New(t, t.TempDir())
	block := read(t, valid.File)
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")})
	directory := t.TempDir()
	tests := []struct {
		name    string
		content []byte
		want    string // the error after the file name; empty: no error
	}{
		{"one certificate", block, ""},
		{"two certificates with text between them", append(append(bytes.Clone(block), "and\n"...), block...), ""},
		{"empty file", []byte{}, ": no PEM certificate"},
		{"text", []byte("no PEM"), ": no PEM certificate"},
		{"a key", read(t, pair.KeyFile), ": no PEM certificate"},
		{"invalid certificate", garbage, ": invalid certificate: x509: malformed certificate"},
		{"second certificate invalid", append(bytes.Clone(block), garbage...), ": invalid certificate: x509: malformed certificate"},
		{"second certificate truncated", append(bytes.Clone(block), block[:len(block)/2]...), ": truncated certificate"},
		{"larger than a Secret", bytes.Repeat(block, (1<<20)/len(block)+1), ": not a regular file of at most 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(directory, "ca")
			if err := os.WriteFile(file, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			var got string
			if _, err := LoadClients(file, slog.New(slog.DiscardHandler)); err != nil {
				got = strings.TrimPrefix(err.Error(), file)
			}
			if got != tt.want {
				t.Errorf("got error %q, want %q", got, tt.want)
			}
		})
	}
	missing := filepath.Join(directory, "none")
	if _, err := LoadClients(missing, slog.New(slog.DiscardHandler)); err == nil || err.Error() != "stat "+missing+": no such file or directory" {
		t.Errorf("missing file: got error %v", err)
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
