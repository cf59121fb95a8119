package main

import (
	"bufio"
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

// runCommand runs the program until it ends.
func runCommand(t *testing.T, args ...string) clitest.Result {
	t.Helper()
	return clitest.RunProgram(t, func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
		return run(ctx, args, strings.NewReader(""), stdout, stderr)
	}, args...)
}

func TestRunRejectsInvalidCommandLines(t *testing.T) {
	valid, other := servertest.New(t, t.TempDir()), servertest.New(t, t.TempDir())
	missing := filepath.Join(t.TempDir(), "none")
	dir := t.TempDir()
	text, empty, policyFile, unknownField := filepath.Join(dir, "text"), filepath.Join(dir, "empty"), filepath.Join(dir, "policy"), filepath.Join(dir, "unknown")
	huge := filepath.Join(dir, "huge")
	for file, content := range map[string]string{
		text: "no PEM", empty: "", policyFile: testPolicy, unknownField: testPolicy + "deny: [latest]\n", huge: testPolicy + strings.Repeat("#\n", 5<<20),
	} {
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
		return append([]string{"serve", "--tls-cert=" + valid.CertFile, "--tls-key=" + valid.KeyFile, "--server-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0"}, flags...)
	}
	const (
		rootForm  = ": use image-webhook COMMAND; see image-webhook --help"
		serveForm = ": use image-webhook serve [flags]; see image-webhook serve --help"
		shellForm = ": use image-webhook completion SHELL; see image-webhook completion --help"
		casForm   = ": use a PEM file with the CA certificates of the callers"
		pairForm  = ": use the PEM files of a certificate and its private key"
		addrForm  = ": use [HOST]:PORT with a port from 0 to 65535, such as :8443"
		ruleForm  = "use REGISTRY[/PATH]=HOST[:PORT][/PATH]; a registry is HOST[:PORT] with a dot or a port, or localhost"
	)
	tests := []struct {
		name string
		args []string
		code int
		want string // the line on stderr, after the program name
	}{
		{"no command", []string{}, 2, "no command" + rootForm},
		{"unknown command", []string{"sevre"}, 2, `unknown command "sevre" for "image-webhook"` + rootForm},
		{"unknown command with a flag", []string{"sevre", "--server-addr=:1"}, 2, `unknown command "sevre" for "image-webhook"` + rootForm},
		{"unknown root flag", []string{"--verbose"}, 2, "unknown flag: --verbose" + rootForm},
		{"unknown flag", serve("--bogus"), 2, "unknown flag: --bogus" + serveForm},
		{"unknown short flag", serve("-x"), 2, "unknown shorthand flag: 'x' in -x" + serveForm},
		{"flag with a line break", serve("--a\nb"), 2, `unknown flag: --a\nb` + serveForm},
		{"flag without value", []string{"serve", "--tls-key"}, 2, "flag needs an argument: --tls-key" + serveForm},
		{"unexpected argument", serve("now"), 2, `unexpected argument "now"` + serveForm},
		{"no shell", []string{"completion"}, 2, "no shell (bash, zsh, fish or powershell)" + shellForm},
		{"unknown shell", []string{"completion", "tcsh"}, 2, `unexpected argument "tcsh"` + shellForm},
		{"ambiguous rule", serve("--registry-mirrors=docker.mirror.example:5000"), 2, `--registry-mirrors: mirror rule "docker.mirror.example:5000" is ambiguous, because the colon could precede a port: use docker.io=docker.mirror.example:5000`},
		{"rule without registry", serve("--registry-mirrors=foo=bar"), 2, `--registry-mirrors: mirror rule "foo=bar" rewrites "foo", which has no registry: ` + ruleForm},
		{"empty rule", serve("--registry-mirrors=a.example,,b.example"), 2, `--registry-mirrors: mirror rule 2 of "a.example,,b.example" is empty: remove the spare comma`},
		{"rules that do not converge", serve("--registry-mirrors=a.example=b.example,b.example=a.example"), 2, `--registry-mirrors: mirror rule "a.example=b.example" sends images to b.example, which rule "b.example=a.example" rewrites again: remove one of the rules or choose another mirror`},
		{"invalid tag", serve("--disallowed-tags=latest,nginx:dev"), 2, `--disallowed-tags: invalid tag "nginx:dev": use the tag alone, such as latest: at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or a dash; * matches any characters`},
		{"invalid image pattern", serve("--exempt-images=busybox"), 2, `--exempt-images: image pattern "busybox" has no registry: use REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox; a registry is HOST[:PORT] with a dot or a port, or localhost`},
		{"exemption that fails on the mirror", serve("--registry-mirrors=*=m.example", "--exempt-images=gcr.io"), 2, `--exempt-images: image pattern "gcr.io" cannot match mirrored images, because mirror rule "*=m.example" does not keep the registry in their names: add a mirror rule for gcr.io, or use the names of the images on the mirror`},
		{"missing certificate file", serve("--tls-cert=" + missing), 2, "--tls-cert and --tls-key: stat " + missing + ": no such file or directory" + pairForm},
		{"missing key file", serve("--tls-key=" + missing), 2, "--tls-cert and --tls-key: stat " + missing + ": no such file or directory" + pairForm},
		{"certificate without PEM", serve("--tls-cert=" + text), 2, "--tls-cert and --tls-key: " + text + " and " + valid.KeyFile + ": tls: failed to find any PEM data in certificate input" + pairForm},
		{"key of another certificate", serve("--tls-key=" + other.KeyFile), 2, "--tls-cert and --tls-key: " + valid.CertFile + " and " + other.KeyFile + ": tls: private key does not match public key" + pairForm},
		{"missing client CA file", serve("--client-ca-file=" + missing), 2, "--client-ca-file: stat " + missing + ": no such file or directory" + casForm},
		{"client CA file without PEM", serve("--client-ca-file=" + text), 2, "--client-ca-file: " + text + ": no PEM certificate" + casForm},
		{"empty client CA file", serve("--client-ca-file=" + empty), 2, "--client-ca-file: " + empty + ": no PEM certificate" + casForm},
		{"key as client CA file", serve("--client-ca-file=" + valid.KeyFile), 2, "--client-ca-file: " + valid.KeyFile + ": no PEM certificate" + casForm},
		{"missing policy file", serve("--config=" + missing), 2, "--config: stat " + missing + ": no such file or directory: use a file with an ImagePolicy"},
		{"policy file is a directory", serve("--config=" + dir), 2, "--config: " + dir + ": not a regular file of at most 1 MiB: use a file with an ImagePolicy"},
		{"policy file of 10 MB", serve("--config=" + huge), 2, "--config: " + huge + ": not a regular file of at most 1 MiB: use a file with an ImagePolicy"},
		{"empty policy file", serve("--config=" + empty), 2, "--config: " + empty + ": the file is empty: begin with apiVersion: image-webhook.dev/v1alpha1 and kind: ImagePolicy"},
		{"unknown field of the policy file", serve("--config=" + unknownField), 2, "--config: " + unknownField + `:6:1: unknown field "deny": use apiVersion, kind, mirrors, disallowedTags, exemptImages, allowedRegistries, requireDigest, deniedImages, imagePullPolicy, imagePullSecrets`},
		{"mirrors in a flag and in the file", serve("--config="+policyFile, "--registry-mirrors=m.example"), 2, "--config: " + policyFile + ":3:10: mirrors is set by the flag --registry-mirrors too: remove one of them"},
		{"default of a flag, given explicitly", serve("--config="+policyFile, "--disallowed-tags=latest"), 2, "--config: " + policyFile + ":4:17: disallowedTags is set by the flag --disallowed-tags too: remove one of them"},
		{"unsupported pull policy", serve("--image-pull-policy=IfNotPresent"), 2, `--image-pull-policy: invalid policy "IfNotPresent": use Always, or omit the flag to keep the policy of the pod`},
		{"pull policy in another case", serve("--image-pull-policy=always"), 2, `--image-pull-policy: invalid policy "always": use Always, or omit the flag to keep the policy of the pod`},
		{"pull policy with a line break", serve("--image-pull-policy=Always\n"), 2, `--image-pull-policy: invalid policy "Always\n": use Always, or omit the flag to keep the policy of the pod`},
		{"unknown log level", serve("--log-level=loud"), 2, `--log-level: invalid level "loud": use debug, info, warn or error`},
		{"log level in another case", serve("--log-level=DEBUG"), 2, `--log-level: invalid level "DEBUG": use debug, info, warn or error`},
		{"unknown log format", serve("--log-format=yaml"), 2, `--log-format: invalid format "yaml": use text or json`},
		{"metrics without a port", serve("--metrics-addr=localhost"), 2, `--metrics-addr: invalid address "localhost"` + addrForm + ", or 0 for no metrics"},
		{"metrics at an empty address", serve("--metrics-addr="), 2, `--metrics-addr: invalid address ""` + addrForm + ", or 0 for no metrics"},
		{"metrics on the port of the server", serve("--server-addr=127.0.0.1:8443", "--metrics-addr=:8443"), 2, `--metrics-addr: ":8443" has the same port as --server-addr "127.0.0.1:8443": choose another port, or 0 for no metrics`},
		{"port of metrics in use", serve("--metrics-addr=" + busy.Addr().String()), 1, "cannot listen on " + busy.Addr().String() + ": the address is in use: stop the program that listens there, or choose another address with --metrics-addr"},
		{"no port", serve("--server-addr=localhost"), 2, `--server-addr: invalid address "localhost"` + addrForm},
		{"named port", serve("--server-addr=:https"), 2, `--server-addr: invalid address ":https"` + addrForm},
		{"port too large", serve("--server-addr=:65536"), 2, `--server-addr: invalid address ":65536"` + addrForm},
		{"empty address", serve("--server-addr="), 2, `--server-addr: invalid address ""` + addrForm},
		{"port in use", serve("--server-addr=" + busy.Addr().String()), 1, "cannot listen on " + busy.Addr().String() + ": the address is in use: stop the program that listens there, or choose another address with --server-addr"},
		{"address of another host", serve("--server-addr=192.0.2.1:0"), 1, "cannot listen on 192.0.2.1:0: listen tcp 192.0.2.1:0: bind: " + syscall.EADDRNOTAVAIL.Error() + ": choose another address with --server-addr"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := clitest.Result{Code: tt.code, Stderr: "image-webhook: " + tt.want + "\n"}
			if diff := cmp.Diff(want, runCommand(t, tt.args...)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelpListsTheFlags(t *testing.T) {
	got := runCommand(t, "serve", "--help")
	if got.Code != 0 || got.Stderr != "" {
		t.Errorf("got outcome %+v, want exit code 0 and no error", got)
	}
	for line := range strings.Lines(got.Stdout) {
		if len(line) > 101 {
			t.Errorf("help has a line of more than 100 columns: %s", line)
		}
	}
	for _, flag := range []string{"--server-addr", "--tls-cert", "--tls-key", "--config", "--registry-mirrors", "--disallowed-tags", "--exempt-images", "--image-pull-policy", "--client-ca-file", "--log-level"} {
		if !strings.Contains(got.Stdout, flag) {
			t.Errorf("help does not list %s", flag)
		}
	}
}

func TestExamplesAreValid(t *testing.T) {
	root := func(io.Writer, io.Writer) *cobra.Command { return newRoot() }
	dir := t.TempDir()
	missing := filepath.Join(dir, "none")
	writeFile(t, filepath.Join(dir, "policy.yaml"), []byte(testPolicy))
	t.Chdir(dir)
	for _, args := range clitest.Examples(t, root, "image-webhook") {
		if args[0] != "serve" {
			continue
		}
		got := runCommand(t, append(args, "--tls-cert="+missing)...)
		if want := "image-webhook: --tls-cert and --tls-key: stat " + missing; got.Code != 2 || !strings.HasPrefix(got.Stderr, want) {
			t.Errorf("example %q: got outcome %+v, want %q", args, got, want)
		}
	}
}

func TestVersionPrintsVersionAndPlatform(t *testing.T) {
	defer func(saved string) { version = saved }(version)
	for _, test := range []struct {
		linked string // the version that the linker has set
		want   string
	}{
		{"v1.2.3", "v1.2.3"},
		{"", "(devel)"}, // a test binary has no version
	} {
		version = test.linked
		want := clitest.Result{Stdout: fmt.Sprintf("image-webhook %s %s %s/%s\n", test.want, runtime.Version(), runtime.GOOS, runtime.GOARCH)}
		if diff := cmp.Diff(want, runCommand(t, "version")); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
	}
}

func TestLinkerSetsTheVersion(t *testing.T) {
	// The linker ignores a variable that does not exist.
	file := filepath.Join(t.TempDir(), "image-webhook")
	versioned := gobuild.Module{Dir: "../../..", Flags: gobuild.VersionFlags("v1.2.3")}
	if err := gobuild.Build(t.Context(), versioned, &progress.Step{}, gobuild.Program{Package: "./webhook/cmd/image-webhook", Output: file}); err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), file, "version").Output()
	if err != nil || !strings.HasPrefix(string(got), "image-webhook v1.2.3 ") {
		t.Errorf("got %q, %v, want image-webhook v1.2.3", got, err)
	}
}

// servingProgram is a running image-webhook.
type servingProgram struct {
	addr       string
	metricsURL string
	pair       servertest.KeyPair
	log        *bufio.Scanner
	stop       context.CancelFunc
	code       chan int // receives the exit code
}

// maxScannedLine is more than the size of the longest log line, which contains most of a
// ClientHello in escapes.
const maxScannedLine = 1 << 20

// startServe runs the program with the flags until stop is called.
func startServe(t *testing.T, flags ...string) *servingProgram {
	t.Helper()
	pair := servertest.New(t, t.TempDir())
	logged, stderr := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	s := &servingProgram{pair: pair, log: bufio.NewScanner(logged), stop: stop, code: make(chan int, 1)}
	s.log.Buffer(nil, maxScannedLine)
	args := append([]string{"serve", "--server-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0", "--tls-cert=" + pair.CertFile, "--tls-key=" + pair.KeyFile}, flags...)
	go func() {
		s.code <- run(ctx, args, strings.NewReader(""), io.Discard, stderr)
		_ = stderr.Close()
	}()
	return s
}

// waitUntilServing waits for the log line with the address. It must contain the texts.
func (s *servingProgram) waitUntilServing(t *testing.T, texts ...string) {
	t.Helper()
	s.addr = logAttribute(nextLine(t, s.log, append(texts, "msg=serving addr=127.0.0.1:")...), "addr")
	s.metricsURL = "http://" + logAttribute(s.log.Text(), "metricsAddr") + "/metrics"
}

// stopAndWait stops the program. It must log only that it has stopped.
func (s *servingProgram) stopAndWait(t *testing.T) {
	t.Helper()
	s.stop()
	nextLine(t, s.log, "msg=stopped")
	if s.log.Scan() {
		t.Errorf("unexpected log line: %s", s.log.Text())
	}
	if got := <-s.code; got != 0 {
		t.Errorf("got exit code %d, want 0", got)
	}
}

// checkReview posts a review. The answer must contain answer, and each log line one of the
// texts in logged.
func (s *servingProgram) checkReview(t *testing.T, client *http.Client, path, review, answer string, logged ...string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- postReview(client, "https://"+s.addr+path, review, answer) }()
	for _, text := range logged {
		nextLine(t, s.log, text)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections() // so that the server does not wait for them at its end
}

const (
	podReview = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"shop","operation":"CREATE",` +
		`"kind":{"group":"","version":"v1","kind":"Pod"},"object":{"metadata":{"name":"web"},"spec":{"containers":[{"name":"app","image":"nginx"}]}}}}`
	imageReview = `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","spec":{"namespace":"shop","containers":[{"image":"nginx"}]}}`
)

func TestServeAnswersEveryPath(t *testing.T) {
	s := startServe(t, "--log-changes", "--registry-mirrors=docker.mirror.example", "--disallowed-tags=latest", "--disallowed-tags=dev", "--exempt-images=quay.io/team")
	s.waitUntilServing(t, ` clientCAFile="" config="" version="" mirrors="docker.io=docker.mirror.example" disallowedTags=latest,dev exemptImages=quay.io/team allowedRegistries="" requireDigest="" deniedImages=0 imagePullPolicy="" imagePullSecrets=""`)
	client := s.pair.Client(t)
	for _, path := range []struct{ name, review, answer, logged string }{
		{"/validating", podReview, `"allowed":false`, "msg=denied namespace=shop object=pod/web "},
		{"/validating/warn", podReview, `"warnings":`, "msg=warned namespace=shop object=pod/web "},
		{"/validating/unknown-mode", podReview, "is treated as deny", "msg=warned namespace=shop object=pod/web "},
		{"/mutating", podReview, `"patchType":"JSONPatch"`, `msg=changed namespace=shop object=pod/web user="" uid=u fields=spec.containers.0.image:nginx->docker.mirror.example/library/nginx`},
		{"/mutating/warn", podReview, "\"uid\":\"u\"},\"warnings\":[\"use `latest` tag", "msg=warned namespace=shop object=pod/web "},
		{"/image-policy", imageReview, `"allowed":false`, "msg=denied namespace=shop object=imagereview "},
	} {
		s.checkReview(t, client, path.name, path.review, path.answer, path.logged)
	}
	s.stopAndWait(t)
}

func TestServeLogsJSON(t *testing.T) {
	s := startServe(t, "--log-format=json")
	s.addr, _, _ = strings.Cut(strings.SplitN(nextLine(t, s.log, `"msg":"serving"`), `"addr":"`, 2)[1], `"`)
	s.checkReview(t, s.pair.Client(t), "/validating", podReview, `"allowed":false`,
		`"level":"WARN","msg":"denied","namespace":"shop","object":"pod/web","user":"","uid":"u","images":["nginx"],"reason":"container`)
	s.stop()
	nextLine(t, s.log, `"msg":"stopped"`)
}

func TestServeLoadsAChangedPolicyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, file, []byte(testPolicy+"requireDigest: [docker.io]\n"))
	s := startServe(t, "--config="+file, "--image-pull-policy=Always")
	s.waitUntilServing(t, " config="+file+" ", ` mirrors="docker.io=docker.mirror.example" disallowedTags="" exemptImages=quay.io/team `, " imagePullPolicy=Always ")
	version := logAttribute(s.log.Text(), "version")
	client := s.pair.Client(t)
	s.checkReview(t, client, "/validating", podReview, `"auditAnnotations":{"policy":"`+version+`","uid":"u"}`, "msg=denied ")
	s.checkReview(t, client, "/mutating", podReview, `"policy":"`+version+`"`)
	s.checkReview(t, client, "/image-policy", imageReview, `a digest is required: use nginx@sha256:...`, "msg=denied ")

	writeFile(t, file, []byte("apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\ndeniedImages:\n"))
	nextLine(t, s.log, `msg="keeping the old policy" version=`+version+` problem="`+file+`:3:14: deniedImages is empty, not a list: write [] for no items"`)
	s.checkReview(t, client, "/validating", podReview, `"allowed":false`, "msg=denied ")
	families := s.scrape(t)
	labels := map[string]string{"file": "policy"}
	if got := value(t, families, "image_webhook_file_last_reload_successful", labels); got != 0 {
		t.Errorf("the last reload of an invalid file was successful: %v", got)
	}

	writeFile(t, file, []byte(testPolicy))
	version = logAttribute(nextLine(t, s.log, `msg="reloaded the policy" version=`), "version")
	s.checkReview(t, client, "/validating", podReview, `"allowed":true,"auditAnnotations":{"policy":"`+version+`"}`)

	writeFile(t, file, []byte(strings.ReplaceAll(testPolicy, "docker.mirror", "another.mirror")))
	nextLine(t, s.log, `msg="reloaded the policy" version=`)
	nextLine(t, s.log, `msg="images are sent to the old mirrors`)
	s.checkReview(t, client, "/mutating", podReview, `"patchType":"JSONPatch"`)
	if got := value(t, s.scrape(t), "image_webhook_images_mirrored_total", map[string]string{"rule": "docker.io=docker.mirror.example"}); got != 2 {
		t.Errorf("%v images were sent to the old mirror, want 2", got)
	}
	s.stopAndWait(t)
}

func TestServeLogsChangesAtDebugByDefault(t *testing.T) {
	s := startServe(t)
	s.waitUntilServing(t)
	s.checkReview(t, s.pair.Client(t), "/mutating", podReview, `"allowed":true`)
	s.stopAndWait(t)
}

func TestServeWithoutMetrics(t *testing.T) {
	s := startServe(t, "--metrics-addr=0")
	s.waitUntilServing(t, " metricsAddr=0 ")
	s.stopAndWait(t)
}

func TestServeSetsThePullPolicy(t *testing.T) {
	s := startServe(t, "--image-pull-policy=Always", "--log-changes")
	s.waitUntilServing(t, " imagePullPolicy=Always ")
	s.checkReview(t, s.pair.Client(t), "/mutating", podReview, `"patchType":"JSONPatch"`, `msg=changed namespace=shop object=pod/web user="" uid=u fields=spec.containers.0.imagePullPolicy:->Always`)
	s.stopAndWait(t)
}

func TestDebugLogHasReviewsAndAnswers(t *testing.T) {
	s := startServe(t, "--log-level=debug")
	s.waitUntilServing(t)
	s.checkReview(t, s.pair.Client(t), "/validating", podReview, `"allowed":false`, "msg=denied ",
		"level=DEBUG msg=answered path=/validating review="+strconv.Quote(podReview)+` answer="{`)
	s.stopAndWait(t)
}

func TestErrorLogIsEmptyWithoutErrors(t *testing.T) {
	s := startServe(t, "--log-level=error", "--client-ca-file="+servertest.NewCA(t, t.TempDir()).File)
	s.stop()
	if s.log.Scan() {
		t.Errorf("unexpected log line: %s", s.log.Text())
	}
	if got := <-s.code; got != 0 {
		t.Errorf("got exit code %d, want 0", got)
	}
}

func TestServeAnswersOnlyClientsOfTheCA(t *testing.T) {
	ca := servertest.NewCA(t, t.TempDir())
	s := startServe(t, "--client-ca-file="+ca.File)
	s.waitUntilServing(t, " clientCAFile="+ca.File)
	stranger, client := s.pair.Client(t), s.pair.Client(t, ca.Issue(t, x509.ExtKeyUsageClientAuth))
	for _, path := range []string{"/validating", "/validating/warn", "/validating/unknown-mode", "/mutating", "/mutating/warn", "/image-policy"} {
		s.checkReview(t, stranger, path, podReview, "client certificate", `msg="refused a request" path=`+path+" status=401 ")
	}
	s.checkReview(t, client, "/validating", podReview, `"allowed":false`, "msg=denied namespace=shop object=pod/web ")
	s.stopAndWait(t)
}

// nextLine returns the next log line, which must contain the texts.
func nextLine(t *testing.T, log *bufio.Scanner, texts ...string) string {
	t.Helper()
	if !log.Scan() {
		t.Fatalf("the log has ended (error %v), want a line with %q", log.Err(), texts)
	}
	for _, text := range texts {
		if !strings.Contains(log.Text(), text) {
			t.Fatalf("got log line %q, want %q", log.Text(), text)
		}
	}
	return log.Text()
}

// logAttribute returns the value of an attribute in a log line.
func logAttribute(line, name string) string {
	_, rest, _ := strings.Cut(line, " "+name+"=")
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// postReview posts a review. It returns an error if the answer does not contain want.
func postReview(client *http.Client, url, review, want string) error {
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
		return fmt.Errorf("%s: got answer %s, want %s", url, body, want)
	}
	return nil
}
