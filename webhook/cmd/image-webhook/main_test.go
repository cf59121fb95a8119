package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
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
	text, empty := filepath.Join(t.TempDir(), "text"), filepath.Join(t.TempDir(), "empty")
	for file, content := range map[string]string{text: "no PEM", empty: ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
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
		shellForm = ": write image-webhook completion SHELL; see image-webhook completion --help"
		casForm   = ": expected the PEM certificates of the CAs of those who may ask"
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
		{"no command", []string{}, 2, "no command" + rootForm},
		{"unknown command", []string{"sevre"}, 2, `unknown command "sevre" for "image-webhook"` + rootForm},
		{"unknown command with a flag", []string{"sevre", "--server-addr=:1"}, 2, `unknown command "sevre" for "image-webhook"` + rootForm},
		{"unknown root flag", []string{"--verbose"}, 2, "unknown flag: --verbose" + rootForm},
		{"unknown flag", serve("--bogus"), 2, "unknown flag: --bogus" + serveForm},
		{"unknown short flag", serve("-x"), 2, "unknown shorthand flag: 'x' in -x" + serveForm},
		{"flag of two lines", serve("--a\nb"), 2, `unknown flag: --a\nb` + serveForm},
		{"flag without value", []string{"serve", "--tls-key"}, 2, "flag needs an argument: --tls-key" + serveForm},
		{"argument", serve("now"), 2, `unexpected argument "now"` + serveForm},
		{"no shell", []string{"completion"}, 2, "no shell: bash, zsh, fish or powershell" + shellForm},
		{"unknown shell", []string{"completion", "tcsh"}, 2, `unexpected argument "tcsh"` + shellForm},
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
		{"no client CAs", serve("--client-ca-file=" + missing), 2, "--client-ca-file: stat " + missing + ": no such file or directory" + casForm},
		{"client CAs not PEM", serve("--client-ca-file=" + text), 2, "--client-ca-file: " + text + " has no certificate" + casForm},
		{"client CAs empty", serve("--client-ca-file=" + empty), 2, "--client-ca-file: " + empty + " has no certificate" + casForm},
		{"client CAs a key", serve("--client-ca-file=" + good.KeyFile), 2, "--client-ca-file: " + good.KeyFile + " has no certificate" + casForm},
		{"another pull policy", serve("--image-pull-policy=IfNotPresent"), 2, `--image-pull-policy: "IfNotPresent" cannot be set: write Always, or leave the flag out to keep what is written`},
		{"pull policy in another case", serve("--image-pull-policy=always"), 2, `--image-pull-policy: "always" cannot be set: write Always, or leave the flag out to keep what is written`},
		{"pull policy of two lines", serve("--image-pull-policy=Always\n"), 2, `--image-pull-policy: "Always\n" cannot be set: write Always, or leave the flag out to keep what is written`},
		{"unknown log level", serve("--log-level=loud"), 2, `--log-level: "loud" is no level: write debug, info, warn or error`},
		{"log level in another case", serve("--log-level=DEBUG"), 2, `--log-level: "DEBUG" is no level: write debug, info, warn or error`},
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
	for _, flag := range []string{"--server-addr", "--tls-cert", "--tls-key", "--registry-mirrors", "--disallowed-tags", "--exempt-images", "--image-pull-policy", "--client-ca-file", "--log-level"} {
		if !strings.Contains(got.Stdout, flag) {
			t.Errorf("no word of %s", flag)
		}
	}
}

// All that is wrong with the examples here is that their files are not there.
func TestExamples(t *testing.T) {
	root := func(io.Writer, io.Writer) *cobra.Command { return newRoot() }
	missing := filepath.Join(t.TempDir(), "none")
	for _, args := range clitest.Examples(t, root, "image-webhook") {
		if args[0] != "serve" {
			continue
		}
		got := command(t, append(args, "--tls-cert="+missing)...)
		if want := "image-webhook: --tls-cert and --tls-key: stat " + missing; got.Code != 2 || !strings.HasPrefix(got.Stderr, want) {
			t.Errorf("example %q: %+v", args, got)
		}
	}
}

func TestRunVersion(t *testing.T) {
	defer func(kept string) { version = kept }(version)
	for _, test := range []struct {
		linked string // what the linker was given
		want   string
	}{
		{"v1.2.3", "v1.2.3"},
		{"", "(devel)"}, // a test's binary has no version
	} {
		version = test.linked
		want := outcome{0, fmt.Sprintf("image-webhook %s %s %s/%s\n", test.want, runtime.Version(), runtime.GOOS, runtime.GOARCH), ""}
		if diff := cmp.Diff(want, command(t, "version")); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
	}
}

// The linker sets a variable by its name, and says nothing if there is none.
func TestVersionIsLinked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image-webhook")
	versioned := gobuild.Module{Dir: ".", Flags: gobuild.Versioned("v1.2.3")}
	if err := gobuild.Build(t.Context(), versioned, gobuild.Program{Package: ".", Output: file}, &progress.Step{}); err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), file, "version").Output()
	if err != nil || !strings.HasPrefix(string(got), "image-webhook v1.2.3 ") {
		t.Errorf("it says %q, %v", got, err)
	}
}

// service is a program that serves.
type service struct {
	addr string
	pair servertest.KeyPair
	log  *bufio.Scanner
	stop context.CancelFunc
	code chan int
}

// startServe runs the program with the flags until it is stopped.
func startServe(t *testing.T, flags ...string) *service {
	t.Helper()
	pair := servertest.New(t, t.TempDir())
	logged, stderr := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	s := &service{pair: pair, log: bufio.NewScanner(logged), stop: stop, code: make(chan int, 1)}
	args := append([]string{"serve", "--server-addr=127.0.0.1:0", "--tls-cert=" + pair.CertFile, "--tls-key=" + pair.KeyFile}, flags...)
	go func() {
		s.code <- run(ctx, args, strings.NewReader(""), io.Discard, stderr)
		_ = stderr.Close()
	}()
	return s
}

// started waits for the line that says that the program serves.
func (s *service) started(t *testing.T, parts ...string) {
	t.Helper()
	s.addr = field(nextLine(t, s.log, append(parts, "msg=serving addr=127.0.0.1:")...), "addr")
}

// end stops the program, which must have logged all that it has to say.
func (s *service) end(t *testing.T) {
	t.Helper()
	s.stop()
	nextLine(t, s.log, "msg=stopped")
	if s.log.Scan() {
		t.Errorf("one more line: %s", s.log.Text())
	}
	if got := <-s.code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}

// answers posts a review and looks for parts of the answer and of its log lines.
func (s *service) answers(t *testing.T, client *http.Client, path, review, answer string, logged ...string) {
	t.Helper()
	asked := make(chan error, 1)
	go func() { asked <- ask(client, "https://"+s.addr+path, review, answer) }()
	for _, part := range logged {
		nextLine(t, s.log, part)
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections() // or the server waits for that at its end
}

const (
	podReview = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"shop","operation":"CREATE",` +
		`"kind":{"group":"","version":"v1","kind":"Pod"},"object":{"metadata":{"name":"web"},"spec":{"containers":[{"name":"app","image":"nginx"}]}}}}`
	imageReview = `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","spec":{"namespace":"shop","containers":[{"image":"nginx"}]}}`
)

func TestServe(t *testing.T) {
	s := startServe(t, "--registry-mirrors=docker.mirror.example", "--disallowed-tags=latest", "--disallowed-tags=dev", "--exempt-images=quay.io/team")
	s.started(t, ` mirrors="docker.io=docker.mirror.example" disallowedTags=latest,dev exemptImages=quay.io/team imagePullPolicy="" clientCAFile=""`)
	client := s.pair.Client(t)
	for _, path := range []struct{ name, review, answer, logged string }{
		{"/validating", podReview, `"allowed":false`, "msg=denied namespace=shop object=pod/web "},
		{"/validating/warn", podReview, `"warnings":`, "msg=warned namespace=shop object=pod/web "},
		{"/validating/unknown-mode", podReview, "is treated as deny", "msg=warned namespace=shop object=pod/web "},
		{"/mutating", podReview, `"patchType":"JSONPatch"`, `msg=changed namespace=shop object=pod/web fields="spec.containers.0.image: nginx -> docker.mirror.example/library/nginx"`},
		{"/image-policy", imageReview, `"allowed":false`, "msg=denied namespace=shop object=imagereview "},
	} {
		s.answers(t, client, path.name, path.review, path.answer, path.logged)
	}
	s.end(t)
}

func TestServePullsAlways(t *testing.T) {
	s := startServe(t, "--image-pull-policy=Always")
	s.started(t, " imagePullPolicy=Always ")
	s.answers(t, s.pair.Client(t), "/mutating", podReview, `"patchType":"JSONPatch"`, `msg=changed namespace=shop object=pod/web fields="spec.containers.0.imagePullPolicy: -> Always"`)
	s.end(t)
}

// With the level debug, what was asked and what was answered can be taken from the
// log as it was.
func TestServeLogsReviews(t *testing.T) {
	s := startServe(t, "--log-level=debug")
	s.started(t)
	s.answers(t, s.pair.Client(t), "/validating", podReview, `"allowed":false`, "msg=denied ",
		"level=DEBUG msg=answered path=/validating review="+strconv.Quote(podReview)+` answer="{`)
	s.end(t)
}

func TestServeLogsLess(t *testing.T) {
	s := startServe(t, "--log-level=error", "--client-ca-file="+servertest.NewCA(t, t.TempDir()).File)
	s.stop()
	if s.log.Scan() {
		t.Errorf("a line: %s", s.log.Text())
	}
	if got := <-s.code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}

func TestServeToClients(t *testing.T) {
	ca := servertest.NewCA(t, t.TempDir())
	s := startServe(t, "--client-ca-file="+ca.File)
	s.started(t, " clientCAFile="+ca.File)
	stranger, client := s.pair.Client(t), s.pair.Client(t, ca.Issue(t, x509.ExtKeyUsageClientAuth))
	for _, path := range []string{"/validating", "/validating/warn", "/validating/unknown-mode", "/mutating", "/image-policy"} {
		s.answers(t, stranger, path, podReview, "client certificate", `msg="refused a request" path=`+path+" status=401 ")
	}
	s.answers(t, client, "/validating", podReview, `"allowed":false`, "msg=denied namespace=shop object=pod/web ")
	s.end(t)
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
