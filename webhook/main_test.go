package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// outcome is what a person sees of a run.
type outcome struct {
	Code           int
	Stdout, Stderr string
}

// command runs the program to its end.
func command(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func TestRunRefuses(t *testing.T) {
	good, other := servertest.New(t, t.TempDir()), servertest.New(t, t.TempDir())
	missing := filepath.Join(t.TempDir(), "none")
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()

	serve := func(flags ...string) []string {
		return append([]string{"serve", "--tls-cert=" + good.CertFile, "--tls-key=" + good.KeyFile, "--server-addr=127.0.0.1:0"}, flags...)
	}
	const (
		rootForm  = ": write image-webhook COMMAND; see image-webhook --help"
		serveForm = ": write image-webhook serve [flags]; see image-webhook serve --help"
		pairForm  = ": expected a PEM certificate and its private key"
		addrForm  = " is no address: write [HOST]:PORT with a port from 0 to 65535, such as :8443"
		ruleForm  = "write REGISTRY[/PATH]=HOST[:PORT][/PATH]; a registry is HOST[:PORT] with a dot or a port, or localhost"
	)
	tests := []struct {
		name string
		args []string
		code int
		want string // the line, after the name of the program
	}{
		{"no command", nil, 2, "no command" + rootForm},
		{"unknown command", []string{"sevre"}, 2, `unknown command "sevre" for "image-webhook"` + rootForm},
		{"unknown command with a flag", []string{"sevre", "--server-addr=:1"}, 2, `unknown command "sevre" for "image-webhook"` + rootForm},
		{"unknown root flag", []string{"--verbose"}, 2, "unknown flag: --verbose" + rootForm},
		{"unknown flag", serve("--bogus"), 2, "unknown flag: --bogus" + serveForm},
		{"unknown short flag", serve("-x"), 2, "unknown shorthand flag: 'x' in -x" + serveForm},
		{"flag of two lines", serve("--a\nb"), 2, `unknown flag: --a\nb` + serveForm},
		{"flag without value", []string{"serve", "--tls-key"}, 2, "flag needs an argument: --tls-key" + serveForm},
		{"argument", serve("now"), 2, `unexpected argument "now"` + serveForm},
		{"ambiguous rule", serve("--registry-mirrors=docker.mirror.example:5000"), 2, `--registry-mirrors: mirror rule "docker.mirror.example:5000" is ambiguous, the colon may stand before a port: write docker.io=docker.mirror.example:5000`},
		{"rule without registry", serve("--registry-mirrors=foo=bar"), 2, `--registry-mirrors: mirror rule "foo=bar" rewrites "foo", which is on no registry: ` + ruleForm},
		{"empty rule", serve("--registry-mirrors=a.example,,b.example"), 2, `--registry-mirrors: mirror rule 2 of "a.example,,b.example" is empty: remove the spare comma`},
		{"rules that do not converge", serve("--registry-mirrors=a.example=b.example,b.example=a.example"), 2, `--registry-mirrors: mirror rule "a.example=b.example" leads to b.example, which rule "b.example=a.example" rewrites again: remove one of them or choose another mirror`},
		{"no tag", serve("--disallowed-tags=latest,nginx:dev"), 2, `--disallowed-tags: "nginx:dev" is no tag: write the tag alone, such as latest: up to 128 letters, digits, dots, dashes and underscores, the first no dot or dash`},
		{"no image pattern", serve("--exempt-images=busybox"), 2, `--exempt-images: image pattern "busybox" is on no registry: write REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox; a registry is HOST[:PORT] with a dot or a port, or localhost`},
		{"exemption that would not hold", serve("--registry-mirrors=*=m.example", "--exempt-images=gcr.io"), 2, `--exempt-images: image pattern "gcr.io" would not hold on the mirror, where mirror rule "*=m.example" does not keep the registry: add a mirror rule for gcr.io, or exempt its images as they are named on the mirror`},
		{"no certificate", serve("--tls-cert=" + missing), 2, "--tls-cert and --tls-key: stat " + missing + ": no such file or directory" + pairForm},
		{"no key", serve("--tls-key=" + missing), 2, "--tls-cert and --tls-key: stat " + missing + ": no such file or directory" + pairForm},
		{"not PEM", serve("--tls-cert=" + text), 2, "--tls-cert and --tls-key: " + text + " with " + good.KeyFile + ": tls: failed to find any PEM data in certificate input" + pairForm},
		{"not a pair", serve("--tls-key=" + other.KeyFile), 2, "--tls-cert and --tls-key: " + good.CertFile + " with " + other.KeyFile + ": tls: private key does not match public key" + pairForm},
		{"no port", serve("--server-addr=localhost"), 2, `--server-addr: "localhost"` + addrForm},
		{"named port", serve("--server-addr=:https"), 2, `--server-addr: ":https"` + addrForm},
		{"port too large", serve("--server-addr=:65536"), 2, `--server-addr: ":65536"` + addrForm},
		{"no address", serve("--server-addr="), 2, `--server-addr: ""` + addrForm},
		{"port in use", serve("--server-addr=" + busy.Addr().String()), 1, busy.Addr().String() + " is in use: stop the program that serves there, or choose another address with --server-addr"},
		{"address of another host", serve("--server-addr=192.0.2.1:0"), 1, "cannot serve on 192.0.2.1:0: listen tcp 192.0.2.1:0: bind: " + syscall.EADDRNOTAVAIL.Error() + ": choose another address with --server-addr"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := outcome{tt.code, "", "image-webhook: " + tt.want + "\n"}
			if diff := cmp.Diff(want, command(t, tt.args...)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunHelp(t *testing.T) {
	got := command(t, "serve", "--help")
	if got.Code != 0 || got.Stderr != "" {
		t.Errorf("outcome %+v", got)
	}
	for _, flag := range []string{"--server-addr", "--tls-cert", "--tls-key", "--registry-mirrors", "--disallowed-tags", "--exempt-images"} {
		if !strings.Contains(got.Stdout, flag) {
			t.Errorf("no word of %s", flag)
		}
	}
}

func TestServe(t *testing.T) {
	pair := servertest.New(t, t.TempDir())
	logged, stderr := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{
			"serve", "--server-addr=127.0.0.1:0", "--tls-cert=" + pair.CertFile, "--tls-key=" + pair.KeyFile,
			"--registry-mirrors=docker.mirror.example", "--disallowed-tags=latest", "--disallowed-tags=dev", "--exempt-images=quay.io/team",
		}, strings.NewReader(""), io.Discard, stderr)
		_ = stderr.Close()
	}()
	log := bufio.NewScanner(logged)
	addr := field(nextLine(t, log, `msg=serving addr=127.0.0.1:`, ` mirrors="docker.io=docker.mirror.example" disallowedTags=latest,dev exemptImages=quay.io/team`), "addr")

	client := pair.Client(t)
	const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"shop","operation":"CREATE",` +
		`"kind":{"group":"","version":"v1","kind":"Pod"},"object":{"metadata":{"name":"web"},"spec":{"containers":[{"name":"app","image":"nginx"}]}}}}`

	for _, path := range []struct{ name, answer, logged string }{
		{"/validating", `"allowed":false`, "msg=denied namespace=shop object=pod/web "},
		{"/validating/warn", `"warnings":`, "msg=warned namespace=shop object=pod/web "},
		{"/validating/unknown-mode", "is treated as deny", "msg=warned namespace=shop object=pod/web "},
		{"/mutating", `"patchType":"JSONPatch"`, `msg=mirrored namespace=shop object=pod/web images="nginx -> docker.mirror.example/library/nginx"`},
	} {
		answer := make(chan error, 1)
		go func() { answer <- ask(client, "https://"+addr+path.name, review, path.answer) }()
		nextLine(t, log, path.logged)
		if err := <-answer; err != nil {
			t.Error(err)
		}
	}

	stop()
	nextLine(t, log, "msg=stopped")
	if log.Scan() {
		t.Errorf("one more line: %s", log.Text())
	}
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}

// nextLine waits for the next line of the log, which must have the parts.
func nextLine(t *testing.T, log *bufio.Scanner, parts ...string) string {
	t.Helper()
	if !log.Scan() {
		t.Fatalf("the log ends: %v", log.Err())
	}
	for _, part := range parts {
		if !strings.Contains(log.Text(), part) {
			t.Fatalf("log line %q, want %q", log.Text(), part)
		}
	}
	return log.Text()
}

// field returns the value of an attribute of a log line.
func field(line, name string) string {
	_, rest, _ := strings.Cut(line, " "+name+"=")
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// ask posts a review and looks for a part of the answer.
func ask(client *http.Client, url, review, want string) error {
	resp, err := client.Post(url, "application/json", strings.NewReader(review))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if !strings.Contains(string(body), want) {
		return fmt.Errorf("%s answers %s, want %s", url, body, want)
	}
	return nil
}
