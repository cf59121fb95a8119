package askmirrors

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// quiet logs nothing.
var quiet = log.New(io.Discard, "", 0)

// mirror is a registry on a local port.
type mirror struct {
	host   string
	digest v1.Hash // of the image library/nginx:1.27

	mu       sync.Mutex
	requests []string // METHOD PATH
}

// handlers change what a mirror answers. They call the registry with next.
type handlers func(w http.ResponseWriter, r *http.Request, next http.Handler)

// serve starts a mirror with one image. The handlers apply after the image was pushed.
func serve(t *testing.T, change handlers) *mirror {
	t.Helper()
	m := &mirror{}
	var ready atomic.Bool
	next := registry.New(registry.Logger(quiet))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ready.Load() {
			next.ServeHTTP(w, r)
			return
		}
		m.mu.Lock()
		m.requests = append(m.requests, r.Method+" "+r.URL.Path)
		m.mu.Unlock()
		change(w, r, next)
	}))
	t.Cleanup(server.Close)
	m.host = strings.TrimPrefix(server.URL, "http://")
	m.digest = push(t, m.host+"/library/nginx:1.27")
	ready.Store(true)
	return m
}

func unchanged(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

// push pushes an image and returns its digest.
func push(t *testing.T, reference string) v1.Hash {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// count returns how many requests begin with a text.
func (m *mirror) count(prefix string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, request := range m.requests {
		if strings.HasPrefix(request, prefix) {
			n++
		}
	}
	return n
}

// withoutCredentials hides the credentials of the user who runs the tests.
func withoutCredentials(t *testing.T) {
	t.Helper()
	empty := t.TempDir()
	for _, variable := range []string{"HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		t.Setenv(variable, empty)
	}
	t.Setenv("REGISTRY_AUTH_FILE", "")
}

// pairs returns the pairs of images on a mirror.
func pairs(host string, images ...string) (all []Pair) {
	for _, image := range images {
		all = append(all, Pair{"docker.io/" + image, host + "/" + image})
	}
	return all
}

// many returns pairs of different images.
func many(host string, n int) (all []Pair) {
	for i := range n {
		all = append(all, pairs(host, fmt.Sprintf("app%d:1", i))...)
	}
	return all
}

// ask returns the answers as text: has, missing or the error.
func ask(t *testing.T, o Options, asked []Pair) (answers []string) {
	t.Helper()
	results := Ask(t.Context(), asked, o)
	for i, r := range results {
		if r.Pair != asked[i] {
			t.Fatalf("result %d is about %v, want %v", i, r.Pair, asked[i])
		}
		switch {
		case r.Err != nil:
			answers = append(answers, r.Err.Error())
		case r.Missing:
			answers = append(answers, "missing")
		default:
			answers = append(answers, "has")
		}
	}
	return answers
}

func TestAsk(t *testing.T) {
	withoutCredentials(t)
	m := serve(t, unchanged)
	digest := m.digest.String()
	other := "sha256:" + strings.Repeat("0", 64)
	rows := []struct{ image, want string }{
		{"library/nginx:1.27", "has"},
		{"library/nginx:1.26", "missing"},
		{"library/nginx", "missing"}, // latest
		{"library/redis:7", "missing"},
		{"library/nginx@" + digest, "has"},
		{"library/nginx@" + other, "missing"},
		{"library/nginx:1.26@" + digest, "has"}, // the digest counts, as on a node
		{"library/nginx:1.27@" + other, "missing"},
		{"library/nginx:1.27", "has"},
		{"Library/nginx", fmt.Sprintf("%q is not the name of an image on a registry: change the mirror rule", m.host+"/Library/nginx")},
	}
	var images, want []string
	for _, row := range rows {
		images, want = append(images, row.image), append(want, row.want)
	}
	if diff := cmp.Diff(want, ask(t, Options{}, pairs(m.host, images...))); diff != "" {
		t.Error(diff)
	}
	if n := m.count("HEAD "); n != 8 {
		t.Errorf("got %d HEAD requests, want one for each different image", n)
	}
	if n := m.count("GET /v2/library"); n != 0 {
		t.Errorf("%d manifests were downloaded", n)
	}
}

func TestAskNothing(t *testing.T) {
	if got := Ask(t.Context(), nil, Options{}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// status answers every request except for /v2/ with a status.
func status(code int) handlers {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path == "/v2/" {
			next.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(code)
	}
}

func TestAnswersOfMirrors(t *testing.T) {
	withoutCredentials(t)
	const login = ": run docker login HOST, or check that the repository exists: many registries answer the same for a repository that does not exist"
	for name, test := range map[string]struct {
		change handlers
		want   string
	}{
		"401": {status(401), `mirror "HOST": 401 Unauthorized` + login},
		"403": {status(403), `mirror "HOST": 403 Forbidden` + login},
		"404": {status(404), "missing"},
		"405": {status(405), `mirror "HOST": 405 Method Not Allowed: it does not answer like a registry: check the mirror rule`},
		"429": {status(429), `mirror "HOST": 429 Too Many Requests: try again later, or run docker login HOST`},
		"500": {status(500), `mirror "HOST": 500 Internal Server Error: try again later`},
		"523": {status(523), `mirror "HOST": 523: try again later`},
		"no registry": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.NotFound(w, r) },
			`mirror "HOST": 404 Not Found: it does not answer like a registry: check the mirror rule`},
		"a page for everything": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { fmt.Fprint(w, "<html>") },
			"has"}, // indistinguishable from a registry without the header of the digest
		"a HEAD without digest": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodHead {
				return
			}
			next.ServeHTTP(w, r)
		}, "has"},
		"a HEAD without digest of a missing image": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodHead {
				return
			}
			r.URL.Path = strings.Replace(r.URL.Path, "/1.27", "/1.26", 1)
			next.ServeHTTP(w, r)
		}, "missing"},
		"a reset connection": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				connection.Close()
			}
		}, `mirror "HOST": it closed the connection: check the mirror`},
	} {
		t.Run(name, func(t *testing.T) {
			m := serve(t, test.change)
			want := strings.ReplaceAll(test.want, "HOST", m.host)
			if got := ask(t, Options{}, pairs(m.host, "library/nginx:1.27"))[0]; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestErrorsOfConnections has those errors that a local mirror cannot cause.
func TestErrorsOfConnections(t *testing.T) {
	request := func(err error) error {
		return &url.Error{Op: "Head", URL: "https://hub.example/v2/app/manifests/1", Err: err}
	}
	for want, err := range map[string]error{
		"no such host: check the name of the mirror and the DNS server": request(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}),
		"it does not use TLS: enable TLS on the mirror":                 request(http.ErrSchemeMismatch),
		"connect: network is unreachable: check the network and the mirror": request(&net.OpError{Op: "dial",
			Addr: &net.TCPAddr{Port: 1}, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}),
		"x509: certificate has expired or is not yet valid: : replace the certificate of the mirror": request(x509.CertificateInvalidError{Reason: x509.Expired}),
	} {
		o := evaluate("hub.example", time.Second, err)
		if want = `mirror "hub.example": ` + want; !o.failed || o.err.Error() != want {
			t.Errorf("got  %v (failed: %t)\nwant %s", o.err, o.failed, want)
		}
	}
}

func TestFailureOfAMomentIsRepeated(t *testing.T) {
	withoutCredentials(t)
	var failed atomic.Bool
	m := serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodHead && failed.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
	if got := ask(t, Options{}, pairs(m.host, "library/nginx:1.27"))[0]; got != "has" {
		t.Errorf("got %s", got)
	}
	if n := m.count("HEAD "); n != 2 {
		t.Errorf("got %d HEAD requests, want 2", n)
	}
}

func TestAskGivesUpOnMirror(t *testing.T) {
	withoutCredentials(t)
	hang := make(chan struct{})
	hanging := serve(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	defer close(hang)
	broken := serve(t, status(503))
	works := serve(t, unchanged)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	var asked []Pair
	for i := range 1000 {
		for _, host := range []string{hanging.host, closed.Addr().String(), broken.host, works.host} {
			asked = append(asked, pairs(host, fmt.Sprintf("app%d:1", i))...)
		}
	}
	started := time.Now()
	results := Ask(t.Context(), asked, Options{Parallel: 4, Timeout: 700 * time.Millisecond})
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	got := map[string]int{}
	for _, r := range results {
		switch {
		case r.Err != nil:
			got[r.Err.Error()]++
		case r.Missing:
			got["missing"]++
		}
	}
	// The errors of a mirror are equal, so that a report can have one for all images.
	want := map[string]int{
		fmt.Sprintf("mirror %q: no answer within 700ms: check the network and the mirror", hanging.host):                1000,
		fmt.Sprintf("mirror %q: connect: connection refused: check the network and the mirror", closed.Addr().String()): 1000,
		fmt.Sprintf("mirror %q: 503 Service Unavailable: try again later", broken.host):                                 1000,
		"missing": 1000, // on the mirror that works
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := broken.count("HEAD "); n > 2*(maxFailures+4) {
		t.Errorf("the broken mirror had %d requests", n)
	}
}

func TestFailuresOfOtherImagesDoNotAddUp(t *testing.T) {
	withoutCredentials(t)
	m := serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "broken") {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		next.ServeHTTP(w, r)
	})
	var images, want []string
	for i := range 10 {
		images = append(images, fmt.Sprintf("broken%d:1", i), "library/nginx:1.27", fmt.Sprintf("other%d:1", i))
		want = append(want, fmt.Sprintf("mirror %q: 418 I'm a teapot: it does not answer like a registry: check the mirror rule", m.host), "has", "missing")
	}
	if diff := cmp.Diff(want, ask(t, Options{Parallel: 1}, pairs(m.host, images...))); diff != "" {
		t.Error(diff)
	}
}

func TestAskIsInterrupted(t *testing.T) {
	withoutCredentials(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m := serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "app5/") {
			cancel()
			<-r.Context().Done()
			return
		}
		next.ServeHTTP(w, r)
	})
	results := Ask(ctx, many(m.host, 100), Options{Parallel: 1})
	for i, r := range results {
		if interrupted := errors.Is(r.Err, context.Canceled); interrupted != (i >= 5) {
			t.Errorf("image %d: got %v", i, r.Err)
		}
	}
	if n := m.count("HEAD "); n != 6 {
		t.Errorf("got %d HEAD requests, want 6", n)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	withoutCredentials(t)
	const parallel = 3
	var running, most atomic.Int64
	full := make(chan struct{}) // closed when as many requests run as are allowed
	var once sync.Once
	m := serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		now := running.Add(1)
		defer running.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		if now == parallel {
			once.Do(func() { close(full) })
		}
		select {
		case <-full:
		case <-r.Context().Done():
		}
		next.ServeHTTP(w, r)
	})
	last := 0
	Ask(t.Context(), append(many(m.host, 50), many(m.host, 50)...), Options{Parallel: parallel, Progress: func(done, total int) {
		if done != last+1 || total != 50 {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}})
	if got := most.Load(); got != parallel || last != 50 {
		t.Errorf("%d simultaneous requests, progress ended at %d", got, last)
	}
}

// requireLogin answers 401 unless the user is user with the password secret.
func requireLogin(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if user, password, _ := r.BasicAuth(); user != "user" || password != "secret" {
		w.Header().Set("WWW-Authenticate", `Basic realm="mirror"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	next.ServeHTTP(w, r)
}

// writeFile writes a file in a new directory and returns the directory.
func writeFile(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	directory := t.TempDir()
	file := filepath.Join(directory, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return directory
}

func authFile(key, password string) string {
	return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, key, base64.StdEncoding.EncodeToString([]byte("user:"+password)))
}

func TestCredentials(t *testing.T) {
	for name, test := range map[string]struct {
		setUp func(t *testing.T, host string)
		want  string
	}{
		"none": {func(*testing.T, string) {}, "401 Unauthorized: run docker login"},
		"of Docker": {func(t *testing.T, host string) {
			t.Setenv("DOCKER_CONFIG", writeFile(t, "config.json", authFile(host, "secret"), 0o600))
		}, "has"},
		"of Docker, for the repository": {func(t *testing.T, host string) {
			t.Setenv("DOCKER_CONFIG", writeFile(t, "config.json", authFile(host+"/library/nginx", "secret"), 0o600))
		}, "has"},
		"of Podman": {func(t *testing.T, host string) {
			t.Setenv("XDG_RUNTIME_DIR", writeFile(t, "containers/auth.json", authFile(host, "secret"), 0o600))
		}, "has"},
		"wrong password": {func(t *testing.T, host string) {
			t.Setenv("DOCKER_CONFIG", writeFile(t, "config.json", authFile(host, "wrong"), 0o600))
		}, "401 Unauthorized: run docker login"},
		"broken file": {func(t *testing.T, _ string) {
			t.Setenv("DOCKER_CONFIG", writeFile(t, "config.json", "{", 0o600))
		}, ": check the credentials of Docker or Podman, or run docker login"},
		"missing helper": {func(t *testing.T, host string) {
			t.Setenv("DOCKER_CONFIG", writeFile(t, "config.json", `{"credHelpers": {"`+host+`": "absent"}}`, 0o600))
		}, ": check the credentials of Docker or Podman, or run docker login"},
	} {
		t.Run(name, func(t *testing.T) {
			withoutCredentials(t)
			m := serve(t, requireLogin)
			test.setUp(t, m.host)
			if got := ask(t, Options{}, pairs(m.host, "library/nginx:1.27"))[0]; !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestCredentialHelperRunsOnceForRegistry(t *testing.T) {
	for name, test := range map[string]struct {
		serve  handlers
		answer string // of the helper
		want   string
	}{
		"has credentials":    {requireLogin, `echo "{\"ServerURL\": \"$host\", \"Username\": \"user\", \"Secret\": \"secret\"}"`, "missing"},
		"has no credentials": {unchanged, "echo credentials not found in native keychain; exit 1", "missing"},
		"fails":              {unchanged, "echo the keychain is locked; exit 1", "the keychain is locked"},
	} {
		t.Run(name, func(t *testing.T) {
			withoutCredentials(t)
			m := serve(t, test.serve)
			calls := filepath.Join(t.TempDir(), "calls")
			helper := fmt.Sprintf("#!/bin/sh\nhost=$(cat)\necho \"$host\" >>%s\n%s\n", calls, test.answer)
			t.Setenv("PATH", writeFile(t, "docker-credential-test", helper, 0o755)+":"+os.Getenv("PATH"))
			t.Setenv("DOCKER_CONFIG", writeFile(t, "config.json", `{"credsStore": "test"}`, 0o600))
			for _, got := range ask(t, Options{}, many(m.host, 20)) {
				if !strings.Contains(got, test.want) {
					t.Errorf("got %s, want %s", got, test.want)
				}
			}
			content, err := os.ReadFile(calls)
			if err != nil {
				t.Fatal(err)
			}
			// go-containerregistry asks again if there are none.
			if got, want := string(content), m.host+"\n"; got != want && got != want+want {
				t.Errorf("the helper was asked for %q, want %q", got, want)
			}
		})
	}
}

func TestCertificateIsChecked(t *testing.T) {
	withoutCredentials(t)
	server := httptest.NewTLSServer(registry.New(registry.Logger(quiet)))
	server.Config.ErrorLog = quiet
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	want := fmt.Sprintf("mirror %q: its certificate is signed by an unknown authority: add the CA certificate to this machine, or set SSL_CERT_FILE", host)
	if got := ask(t, Options{}, pairs(host, "library/nginx:1.27"))[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
