package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// unseen are messages that no test can cause.
var unseen = []string{"cannot render the metrics", "metrics are not served any more"}

// TestPageDescribesEveryLogField compares the tables of messages and fields in docs/operations.md
// with what the server logs while it does everything that it logs, in both directions.
func TestPageDescribesEveryLogField(t *testing.T) {
	page, err := os.ReadFile(operationsPage)
	if err != nil {
		t.Fatal(err)
	}
	logged := logEverything(t)
	fields := map[string]bool{}
	want := map[string]string{}
	for message, line := range logged {
		maps.Copy(fields, line.fields)
		delete(line.fields, "dropped") // any refusal can have it
		want[message] = line.level + ": " + strings.Join(slices.Sorted(maps.Keys(line.fields)), ", ")
	}
	got := map[string]string{}
	for _, row := range tableRows(string(page), "| message | level | fields | meaning |") {
		for _, message := range codes(row[0]) {
			if !slices.Contains(unseen, message) {
				got[message] = row[1] + ": " + strings.Join(slices.Sorted(slices.Values(codes(row[2]))), ", ")
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-server +page):\n%s", diff)
	}
	var described []string
	for _, row := range tableRows(string(page), "| field | meaning |") {
		described = append(described, codes(row[0])...)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(fields)), slices.Sorted(slices.Values(described))); diff != "" {
		t.Errorf("fields (-server +page):\n%s", diff)
	}
	checkSources(t, slices.Concat(slices.Collect(maps.Keys(logged)), unseen))
}

// tableRows returns the cells of the rows of the table with a header.
func tableRows(page, header string) (rows [][]string) {
	_, rest, _ := strings.Cut(page, header+"\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	for _, line := range strings.Split(table, "\n")[1:] {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		rows = append(rows, cells)
	}
	return rows
}

var code = regexp.MustCompile("`([^`]+)`")

// codes returns the texts in backquotes.
func codes(cell string) (texts []string) {
	for _, match := range code.FindAllStringSubmatch(cell, -1) {
		texts = append(texts, match[1])
	}
	return texts
}

// sourceMessage matches a call that logs. Its group is the beginning of the message.
var sourceMessage = regexp.MustCompile(`(?:\.(?:Debug|Info|Warn|Error)\(|\.Log\([^"]*|\.(?:write|object)\((?:slog\.\w+|r\.\w+), )"([^"]+)"`)

// checkSources reports a call that logs another message.
func checkSources(t *testing.T, known []string) {
	t.Helper()
	for _, dir := range []string{".", "../../server", "../../admission", "../../metrics", "../../policy"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range sourceMessage.FindAllStringSubmatch(string(source), -1) {
				if !slices.ContainsFunc(known, func(message string) bool { return strings.HasPrefix(message, match[1]) }) {
					t.Errorf("%s logs %q: describe it in docs/operations.md, and cause it in this test", file, match[1])
				}
			}
		}
	}
}

// loggedLine is the level of a message, and all fields that it had.
type loggedLine struct {
	level  string
	fields map[string]bool
}

// parseLog returns the lines of a log in JSON by message.
func parseLog(t *testing.T, log string) map[string]loggedLine {
	t.Helper()
	lines := map[string]loggedLine{}
	for text := range strings.Lines(log) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		message := line["msg"].(string)
		if _, ok := lines[message]; !ok {
			lines[message] = loggedLine{line["level"].(string), map[string]bool{}}
		}
		for field := range line {
			if !slices.Contains([]string{"time", "level", "msg"}, field) {
				lines[message].fields[field] = true
			}
		}
	}
	return lines
}

// loggingServer is a running server whose log is in memory.
type loggingServer struct {
	log        servertest.LockedBuffer
	addr       string
	metricsURL string
	pair       servertest.KeyPair
	ca         servertest.CA
	client     *http.Client // has a certificate of the CA
	policy     string       // the policy file
}

// testPolicy is a policy that denies nothing, with a mirror.
const testPolicy = `apiVersion: image-webhook.dev/v1alpha1
kind: ImagePolicy
mirrors: [{source: docker.io, mirror: docker.mirror.example}]
disallowedTags: []
exemptImages: [quay.io/team]
`

// logEverything runs a server, causes every message and returns them.
func logEverything(t *testing.T) map[string]loggedLine {
	t.Helper()
	s := &loggingServer{pair: servertest.New(t, t.TempDir()), ca: servertest.NewCA(t, t.TempDir()), policy: filepath.Join(t.TempDir(), "policy.yaml")}
	writeFile(t, s.policy, []byte(testPolicy))
	s.client = s.pair.Client(t, s.ca.Issue(t, x509.ExtKeyUsageClientAuth))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{
			"serve", "--log-format=json", "--log-level=debug", "--server-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0", "--config=" + s.policy,
			"--tls-cert=" + s.pair.CertFile, "--tls-key=" + s.pair.KeyFile, "--client-ca-file=" + s.ca.File,
		}, strings.NewReader(""), io.Discard, &s.log)
	}()
	s.waitForMessage(t, "serving")
	s.addr = jsonAttribute(s.log.String(), "addr")
	s.metricsURL = "http://" + jsonAttribute(s.log.String(), "metricsAddr") + "/metrics"
	s.sendReviews(t)
	s.sendRefusals(t)
	s.failConnections(t)
	s.changeFiles(t)
	s.client.CloseIdleConnections()
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d: %s", got, s.log.String())
	}
	return parseLog(t, s.log.String())
}

// jsonAttribute returns the first value of a field in a log.
func jsonAttribute(log, field string) string {
	_, rest, _ := strings.Cut(log, `"`+field+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// waitForMessage waits until the log has a message. again, if any, is called before each look.
func (s *loggingServer) waitForMessage(t *testing.T, message string, again ...func()) {
	t.Helper()
	for !strings.Contains(s.log.String(), message) {
		if t.Context().Err() != nil {
			t.Fatalf("the log has no %q", message)
		}
		for _, call := range again {
			call()
		}
	}
}

// post sends a body and ignores the answer.
func (s *loggingServer) post(client *http.Client, path, body string) {
	resp, err := client.Post("https://"+s.addr+path, "application/json", strings.NewReader(body))
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

func (s *loggingServer) sendReviews(t *testing.T) {
	t.Helper()
	namespace := func(annotations string) string {
		return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","userInfo":{"username":"alice"},` +
			`"kind":{"group":"","version":"v1","kind":"Namespace"},"object":{"metadata":{"name":"shop","annotations":{` + annotations + `}}}}}`
	}
	invalid := strings.ReplaceAll(podReview, `"nginx"`, `"Nginx"`)
	s.post(s.client, "/validating", invalid)
	s.post(s.client, "/validating/warn", invalid)
	s.post(s.client, "/mutating", podReview)
	s.post(s.client, "/image-policy", strings.ReplaceAll(imageReview, `"nginx"`, `"Nginx"`))
	s.post(s.client, "/namespace-owner", namespace(""))
	s.post(s.client, "/namespace-owner", namespace(`"image-webhook.dev/owner":"bob"`))
}

// sendRefusals sends more requests than are logged, and then waits for the number of lines that were
// not logged.
func (s *loggingServer) sendRefusals(t *testing.T) {
	t.Helper()
	stranger := s.pair.Client(t)
	s.post(stranger, "/validating", podReview)
	s.waitForMessage(t, `"dropped":`, func() { s.post(s.client, "/validating", "x") })
}

// failConnections makes a client reject the certificate, and opens too many connections.
func (s *loggingServer) failConnections(t *testing.T) {
	t.Helper()
	s.waitForMessage(t, "connection failed", func() {
		if conn, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
			_ = conn.Close()
		}
	})
	address := strings.TrimSuffix(strings.TrimPrefix(s.metricsURL, "http://"), "/metrics")
	s.waitForMessage(t, "closed a connection", func() {
		if conn, err := net.Dial("tcp", address); err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
	})
}

// changeFiles makes the files invalid and then valid again.
func (s *loggingServer) changeFiles(t *testing.T) {
	t.Helper()
	handshake := func() {
		stranger := s.pair.Client(t)
		s.post(stranger, "/validating", podReview)
		stranger.CloseIdleConnections()
	}
	for file, name := range map[string]string{s.pair.KeyFile: "certificate", s.ca.File: "client CAs", s.policy: "policy"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, nil)
		s.waitForMessage(t, "keeping the old "+name, handshake)
		writeFile(t, file, append(content, '\n'))
		s.waitForMessage(t, "reloaded the "+name, handshake)
	}
	writeFile(t, s.policy, []byte(strings.ReplaceAll(testPolicy, "docker.mirror", "another.mirror")))
	s.waitForMessage(t, "images are sent to the old mirrors", handshake)
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
