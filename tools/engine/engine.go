// Package engine finds the container engine that kind's nodes run in, and wraps
// the few calls that the tools make to it.
//
// It is Docker if Docker can really start a privileged container, else podman,
// else podman installed with apt. The variable ENGINE (docker or podman) forces
// one of them, or says that there is to be none.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/image-webhook/image-webhook/tools/apt"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// probeTimeout bounds the questions that a hung daemon would never answer.
const probeTimeout = 20 * time.Second

// podmanPackages is what podman needs on a bare Debian to run kind's nodes: a
// runtime, a network stack with name resolution, and nothing to be started.
var podmanPackages = []string{"podman", "runc", "netavark", "aardvark-dns", "iptables", "iproute2"}

// Engine is a container engine on this machine.
type Engine struct {
	Name string // docker or podman, the program on the PATH
}

// ErrNone says that this machine has no engine that could run a cluster; what to do
// about it follows.
var ErrNone = errors.New("no container engine")

// Find returns the engine to use, as the package comment says, but installs
// nothing: where there is no engine the error is ErrNone.
func Find(ctx context.Context) (*Engine, error) {
	e, _, err := choose(ctx)
	if err != nil || e.Name == "docker" {
		return e, err
	}
	if _, err := exec.LookPath("podman"); err != nil {
		return nil, fmt.Errorf("%w: `make up` installs podman on Debian or Ubuntu, else install Docker or podman", ErrNone)
	}
	return e, e.preparePodman(ctx)
}

// Ensure returns the engine to use and installs podman if there is none. Where that
// cannot be done the error is ErrNone.
func Ensure(ctx context.Context, report *progress.Reporter) (*Engine, error) {
	e, whyNotDocker, err := choose(ctx)
	if err != nil || e.Name == "docker" {
		return e, err
	}
	if err := ensurePodman(ctx, report); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if whyNotDocker != nil {
		report.Note("Using podman: %v", whyNotDocker)
	}
	return e, e.preparePodman(ctx)
}

// ensurePodman installs podman, or what is missing beside a podman that Debian
// gave. A podman from elsewhere is taken as it is.
func ensurePodman(ctx context.Context, report *progress.Reporter) error {
	_, err := exec.LookPath("podman")
	foreign := err == nil && len(apt.Missing(ctx, "podman")) > 0
	if foreign || err == nil && !apt.CanInstall() {
		return nil
	}
	return apt.Ensure(ctx, report, "to run the cluster's containers", podmanPackages...)
}

// choose decides between Docker and podman, and why Docker was left aside.
func choose(ctx context.Context) (e *Engine, whyNotDocker, err error) {
	switch forced := os.Getenv("ENGINE"); forced {
	case "", "docker":
		if whyNotDocker = probeDocker(ctx); whyNotDocker == nil {
			return &Engine{Name: "docker"}, nil, nil
		}
		if forced == "docker" {
			return nil, nil, fmt.Errorf("ENGINE=docker, but %w", whyNotDocker)
		}
	case "podman":
	case "none":
		return nil, nil, fmt.Errorf("%w: ENGINE=none rules them out: leave ENGINE out, or use `make controlplane`", ErrNone)
	default:
		return nil, nil, fmt.Errorf("ENGINE=%s is no engine: write ENGINE=docker, ENGINE=podman or ENGINE=none, or leave it out", forced)
	}
	return &Engine{Name: "podman"}, whyNotDocker, nil
}

// Run runs the engine's program; what it prints goes to out as it comes.
func (e *Engine) Run(ctx context.Context, out io.Writer, args ...string) error {
	return subprocess.Command{Args: append([]string{e.Name}, args...), Progress: out}.Run(ctx)
}

// HasImage says whether the engine's own storage holds ref.
func (e *Engine) HasImage(ctx context.Context, ref string) bool {
	return e.Run(ctx, nil, "image", "inspect", ref) == nil
}

// Pull fetches ref from its registry within limit.
func (e *Engine) Pull(ctx context.Context, out io.Writer, ref string, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no image after %s", limit))
	defer cancel()
	return e.Run(ctx, out, "pull", ref)
}

// Build builds the Dockerfile in dir as ref. Docker's classic builder does; it
// has no need of a BuildKit that may not be there.
func (e *Engine) Build(ctx context.Context, dir, ref string, out io.Writer) error {
	return subprocess.Command{
		Args:     []string{e.Name, "build", "--network=none", "--tag", ref, dir},
		Env:      []string{"DOCKER_BUILDKIT=0"},
		Progress: out,
	}.Run(ctx)
}

// RemoveImages removes the images whose reference begins with prefix, which has the
// whole of a repository in it, other than keep, as far as nothing uses them any more.
func (e *Engine) RemoveImages(ctx context.Context, prefix, keep string) {
	repository, _, _ := strings.Cut(prefix, ":")
	listed, err := subprocess.Command{
		Args: []string{e.Name, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository},
	}.Output(ctx)
	if err != nil {
		return
	}
	for _, ref := range slices.Compact(slices.Sorted(strings.FieldsSeq(listed))) {
		if ref != keep && strings.HasPrefix(ref, prefix) {
			_ = e.Run(ctx, nil, "image", "rm", ref) // in use, or a parent: it stays
		}
	}
}
