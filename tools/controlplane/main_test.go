package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/controlplane/background"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// TestMain is also what `up` starts to hold the control plane: this program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hold" {
		main()
	}
	os.Exit(m.Run())
}

// said is what a run of the program printed, and its exit code.
type said struct {
	Code           int
	Stdout, Stderr string
}

func program(t *testing.T, args ...string) said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr)
	return said{code, stdout.String(), stderr.String()}
}

func TestRefuses(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		k8s    string
		code   int
		stderr string
	}{
		{"unknown verb", []string{"start"}, "", 2, "controlplane: unknown command \"start\" for \"controlplane\" (see `controlplane --help`)\n"},
		{"argument", []string{"up", "x"}, "", 2, "controlplane: unknown command \"x\" for \"controlplane up\" (see `controlplane --help`)\n"},
		{"flag", []string{"up", "--x"}, "", 2, "controlplane: unknown flag: --x (see `controlplane --help`)\n"},
		{"name", []string{"up", "--name=../x"}, "", 2, "controlplane: --name \"../x\" is no name: write at most 40 lower-case letters, digits and dashes (see `controlplane --help`)\n"},
		{"version", []string{"up"}, "1.30", 1, "controlplane: K8S: no Kubernetes 1.30 is pinned here: write one of 1.35, 1.36, 1.37\n"},
		{"env of none", []string{"env", "--name=none"}, "", 1, "controlplane: it is not up: `bin/controlplane up` starts it\n"},
		{"down of none", []string{"down", "--name=none"}, "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Setenv("K8S", tt.k8s)
			if diff := cmp.Diff(said{Code: tt.code, Stderr: tt.stderr}, program(t, tt.args...)); diff != "" {
				t.Errorf("it says (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpAndDown(t *testing.T) {
	const name = "--name=test"
	t.Cleanup(func() { remove(t, "test") })
	if got := program(t, "up", name); got.Code != 0 {
		t.Fatalf("up: %+v", got)
	}
	if got := program(t, "status", name); got.Code != 0 || !strings.Contains(got.Stdout, "denies and mirrors") {
		t.Errorf("status: %+v", got)
	}
	env := program(t, "env", name)
	if got := shell(t, env.Stdout, "kubectl create namespace shop"); got != "namespace/shop created\n" {
		t.Errorf("kubectl: %s", got)
	}
	got := program(t, "up", name)
	if got.Code != 0 || !strings.Contains(got.Stderr, "✓ start the webhook anew") {
		t.Errorf("up again: %+v", got)
	}
	if got := shell(t, env.Stdout, "kubectl get namespace shop -o name"); got != "namespace/shop\n" {
		t.Errorf("after the second up: %s", got)
	}
	if got := program(t, "down", name); got.Code != 0 {
		t.Errorf("down: %+v", got)
	}
	if got := program(t, "status", name); got.Code != 1 || got.Stdout != "control plane   not up\n" {
		t.Errorf("status after down: %+v", got)
	}
}

// remove ends a control plane and removes its folder.
func remove(t *testing.T, name string) {
	p, err := background.Open(name)
	if err == nil {
		err = errors.Join(p.Down(context.Background(), progress.New(os.Stderr)), os.RemoveAll(p.Dir))
	}
	if err != nil {
		t.Error(err)
	}
}

// shell returns what a command line says in an environment.
func shell(t *testing.T, environment, line string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "sh", "-c", environment+line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return string(output)
}

// canceller interrupts once it is told of a step.
type canceller struct {
	bytes.Buffer
	step   string
	cancel context.CancelFunc
}

func (c *canceller) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.step)) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

// Ctrl-C while everything starts leaves nothing running.
func TestInterruptedUp(t *testing.T) {
	const name = "interrupted"
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &canceller{step: "✓ build image-webhook", cancel: cancel}
	t.Cleanup(func() { remove(t, name) })
	code := run(ctx, []string{"up", "--name", name}, os.Stdout, stderr)
	if code != 130 || !strings.HasSuffix(stderr.String(), "controlplane: interrupted; the same command goes on from here\n") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	p, err := background.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.State(); !errors.Is(err, background.ErrDown) {
		t.Errorf("the state is %v", err)
	}
	if _, err := os.Stat(p.Kubeconfig()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a kubeconfig is left: %v", err)
	}
}
