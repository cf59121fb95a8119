// Package servermetrics reads the metrics of the real server, for tests.
package servermetrics

import (
	"bufio"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/image-webhook/image-webhook/tools/checks/certtest"
)

// Scrape compiles the server, starts it on free ports, and returns its metrics as text. The
// server has a policy file with two mirror rules. root is the directory of this repository's module.
func Scrape(t testing.TB, root string) string {
	t.Helper()
	response, err := http.Get("http://" + start(t, compile(t, root)) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %s, %v", response.Status, err)
	}
	return string(text)
}

func compile(t testing.TB, root string) (program string) {
	t.Helper()
	readSources(t, filepath.Join(root, "webhook"))
	program = filepath.Join(t.TempDir(), "image-webhook")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./webhook/cmd/image-webhook")
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile the server: %v\n%s", err, output)
	}
	return program
}

// readSources lets `go test` run a test again when the sources have changed: its cache knows only
// the files that the test itself has read.
func readSources(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// policy has two mirror rules.
const policy = `apiVersion: image-webhook.dev/v1alpha1
kind: ImagePolicy
mirrors:
  - {source: docker.io, mirror: docker.mirror.example}
  - {source: registry.k8s.io, mirror: k8s.mirror.example}
`

var metricsAddr = regexp.MustCompile(`\bmetricsAddr=(\S+)`)

// start starts the server, and returns the address of its metrics when it serves. The end of the
// test kills it.
func start(t testing.TB, program string) (addr string) {
	t.Helper()
	now := time.Now()
	issued := certtest.Issue(t, "webhook", now.Add(-time.Hour), now.Add(time.Hour))
	cmd := exec.CommandContext(t.Context(), program, "serve", "--server-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0",
		"--tls-cert="+writeFile(t, "cert", issued.Cert), "--tls-key="+writeFile(t, "key", issued.Key),
		"--config="+writeFile(t, "policy.yaml", []byte(policy)))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var log []byte
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if match := metricsAddr.FindSubmatch(lines.Bytes()); match != nil {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return string(match[1])
		}
		log = append(append(log, lines.Bytes()...), '\n')
	}
	t.Fatalf("the server does not say where it serves metrics:\n%s", log)
	return ""
}

func writeFile(t testing.TB, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
