package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/controlplane"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// TestMain also runs the holder, because `up` starts the test binary as one. The holder ends when
// the tests end, even if they are killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hold" {
		parent := os.Getppid()
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil || os.Getppid() != parent || parent == 1 {
			os.Exit(1)
		}
		main()
	}
	os.Exit(m.Run())
}

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/controlplane")
}

// uniqueName returns a name that no other run of the tests uses.
func uniqueName(prefix string) string { return prefix + "-" + strconv.Itoa(os.Getpid()) }

func run(t *testing.T, args ...string) clitest.Result {
	t.Helper()
	return clitest.Run(t, newRoot, args...)
}

// knownVersions returns the Kubernetes versions as an error lists them.
func knownVersions(t *testing.T) string {
	t.Helper()
	minors, err := kubebuild.Minors("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(minors, ", ")
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		k8s    string
		code   int
		stderr string
	}{
		{"unknown verb", []string{"start"}, "", 2, "controlplane: unknown command \"start\" for \"controlplane\" (see `controlplane --help`)\n"},
		{"unexpected argument", []string{"up", "x"}, "", 2, "controlplane: unknown command \"x\" for \"controlplane up\" (see `controlplane --help`)\n"},
		{"unknown flag", []string{"up", "--x"}, "", 2, "controlplane: unknown flag: --x (see `controlplane --help`)\n"},
		{"invalid name", []string{"up", "--name=../x"}, "", 2, "controlplane: invalid name \"../x\": use at most 40 lower-case letters, digits and dashes (see `controlplane --help`)\n"},
		{"unknown version", []string{"up"}, "1.30", 1, "controlplane: K8S: unknown Kubernetes version \"1.30\": use " + knownVersions(t) + "\n"},
		{"static files of an old version", []string{"up", "--static"}, "1.35", 1, "controlplane: use static files: Kubernetes 1.35 reads none: set K8S=1.36 or newer\n"},
		{"env while not running", []string{"env", "--name=none"}, "", 1, "controlplane: the control plane is not running: run `bin/controlplane up`\n"},
		{"down while not running", []string{"down", "--name=none"}, "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Setenv("K8S", tt.k8s)
			if diff := cmp.Diff(clitest.Result{Code: tt.code, Stderr: tt.stderr}, run(t, tt.args...)); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpRestartsWebhookAndKeepsObjects(t *testing.T) {
	plane := uniqueName("test")
	name := "--name=" + plane
	t.Cleanup(func() { remove(t, plane) })
	if got := run(t, "up", name); got.Code != 0 {
		t.Fatalf("up: %+v", got)
	}
	if got := run(t, "status", name); got.Code != 0 || !strings.Contains(got.Stdout, "denies and mirrors") {
		t.Errorf("status: %+v", got)
	}
	env := run(t, "env", name)
	if got := shell(t, env.Stdout, "kubectl create namespace shop"); got != "namespace/shop created\n" {
		t.Errorf("kubectl: %s", got)
	}
	got := run(t, "up", name)
	if got.Code != 0 || !strings.Contains(got.Stderr, "✓ restart the webhook") {
		t.Errorf("up again: %+v", got)
	}
	if got := shell(t, env.Stdout, "kubectl get namespace shop -o name"); got != "namespace/shop\n" {
		t.Errorf("after the second up: %s", got)
	}
	// The webhook and the controller namespace-owner.
	if starts := strings.Count(readLog(t, plane), "msg=serving"); starts != 2*2 {
		t.Errorf("%d programs were started, want 2 programs twice:\n%s", starts, readLog(t, plane))
	}
	if got := run(t, "down", name); got.Code != 0 {
		t.Errorf("down: %+v", got)
	}
	if got := run(t, "status", name); got.Code != 1 || got.Stdout != "control plane   not running\n" {
		t.Errorf("status after down: %+v", got)
	}
}

func TestUpStartsAllForms(t *testing.T) {
	if os.Getenv("K8S") == "1.35" {
		t.Skip("Kubernetes 1.35 reads no policies from files")
	}
	plane := uniqueName("static")
	t.Cleanup(func() { remove(t, plane) })
	name := "--name=" + plane
	for range 2 { // the second one restarts the programs
		if got := run(t, "up", name, "--static"); got.Code != 0 || !strings.Contains(got.Stderr, "reads the policy from the files in ") {
			t.Fatalf("up: %+v", got)
		}
	}
	if got := run(t, "status", name); got.Code != 0 {
		t.Errorf("status: %+v", got)
	}
	// The webhook, the one of the plugin, and the controller namespace-owner.
	if starts := strings.Count(readLog(t, plane), "msg=serving"); starts != 3*2 {
		t.Errorf("%d programs were started, want 3 programs twice:\n%s", starts, readLog(t, plane))
	}
	env := run(t, "env", name).Stdout
	// Only the plugin checks a namespace in the mode off, and only the policies check the image of a volume
	// before the webhook.
	for _, tt := range []struct{ mode, pod, want string }{
		{"off", `{"containers":[{"name":"a","image":"nginx:latest"}]}`, "image policy webhook backend denied"},
		{"deny", `{"containers":[{"name":"a","image":"nginx:1.25"}],"volumes":[{"name":"b","image":{"reference":"nginx:latest"}}]}`, "ValidatingAdmissionPolicy 'image-webhook.static.k8s.io'"},
	} {
		got := shell(t, env, "kubectl create namespace "+tt.mode+" && kubectl label namespace "+tt.mode+" image-webhook.dev/mode="+tt.mode+
			" && ! kubectl run test -n "+tt.mode+" --image=unused --dry-run=server --overrides='{\"spec\":"+tt.pod+"}'")
		if !strings.Contains(got, tt.want) {
			t.Errorf("a pod in the mode %s: %s, want %q", tt.mode, got, tt.want)
		}
	}
	p, err := controlplane.Open(plane)
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, "down", name); got.Code != 0 {
		t.Errorf("down: %+v", got)
	}
	if _, err := os.Stat(p.StaticFiles()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the static files still exist: %v", err)
	}
}

// remove stops a control plane and removes its directory.
func remove(t *testing.T, name string) {
	p, err := controlplane.Open(name)
	if err == nil {
		err = errors.Join(p.Down(context.Background(), progress.New(os.Stderr)), os.RemoveAll(p.Dir))
	}
	if err != nil {
		t.Error(err)
	}
}

// shell returns the output of a command line after the lines of `env`.
func shell(t *testing.T, env, line string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "sh", "-c", env+line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return string(output)
}

func readLog(t *testing.T, name string) string {
	t.Helper()
	p, err := controlplane.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(p.Log())
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func TestInterruptedUpLeavesNothingRunning(t *testing.T) {
	name := uniqueName("interrupted")
	t.Cleanup(func() { remove(t, name) })
	p, err := controlplane.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() { // as soon as the holder runs
		_ = wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(context.Context) (bool, error) {
			_, err := p.State()
			return err == nil, nil
		})
		interrupt()
	}()
	var stderr bytes.Buffer
	code := cli.Run(ctx, newRoot(os.Stdout, &stderr), []string{"up", "--name", name}, &stderr)
	if code != 130 || !strings.HasSuffix(stderr.String(), "controlplane: interrupted: run the same command again to continue\n") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a process still runs: %v", err)
	}
	if _, err := p.State(); !errors.Is(err, controlplane.ErrDown) {
		t.Errorf("state: %v, want ErrDown", err)
	}
	if _, err := os.Stat(p.Kubeconfig()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the kubeconfig still exists: %v", err)
	}
}

func TestUpRestartsCrashedPrograms(t *testing.T) {
	plane := uniqueName("crash")
	t.Cleanup(func() { remove(t, plane) })
	name := "--name=" + plane
	if got := run(t, "up", name); got.Code != 0 {
		t.Fatalf("up: %+v", got)
	}
	for _, tt := range []struct {
		program string // that crashes
		status  string // part of the output of `status`
		up      string // part of the output of `up`
	}{
		{"image-webhook", "does not answer", "✓ restart the webhook"},
		{"kube-apiserver", "API server      does not answer", "The API server no longer answers: everything is restarted.\n"},
	} {
		killChild(t, plane, tt.program)
		if got := run(t, "status", name); got.Code != 1 || !strings.Contains(got.Stdout, tt.status) {
			t.Errorf("status without %s: %+v", tt.program, got)
		}
		if got := run(t, "up", name); got.Code != 0 || !strings.Contains(got.Stderr, tt.up) {
			t.Errorf("up without %s: %+v", tt.program, got)
		}
		if got := run(t, "status", name); got.Code != 0 {
			t.Errorf("status after the next up: %+v", got)
		}
	}
}

// killChild kills a program of a control plane.
func killChild(t *testing.T, plane, program string) {
	t.Helper()
	p, err := controlplane.Open(plane)
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Ready()
	if err != nil {
		t.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, stat := range stats {
		content, _ := os.ReadFile(stat) // the process may have ended
		var pid, parent int
		var name, status string
		_, _ = fmt.Sscanf(string(content), "%d %s %s %d", &pid, &name, &status, &parent)
		if parent == state.PID && name == "("+program[:min(len(program), 15)]+")" && unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	if killed != 1 {
		t.Fatalf("%d processes of %s killed, want 1", killed, program)
	}
}
