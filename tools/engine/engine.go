// Package engine finds the container engine for kind's nodes, and runs its commands.
//
// The engine is Docker if Docker can start a privileged container, otherwise podman, which
// is installed with apt if necessary. The variable ENGINE selects docker or podman; none
// disables both.
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

// probeTimeout limits commands to a daemon that may hang.
const probeTimeout = 20 * time.Second

// podmanPackages are podman and the packages that it needs to run kind's nodes on a minimal
// Debian: a runtime, and networks with name resolution. None of them starts a service.
var podmanPackages = []string{"podman", "runc", "netavark", "aardvark-dns", "iptables", "iproute2"}

// Engine is a container engine on this machine.
type Engine struct {
	Name string // Docker or Podman
}

// ErrNone means that this machine has no container engine for a cluster. Errors that wrap it
// say what to do.
var ErrNone = errors.New("no container engine")

// Docker and Podman are the names of the engines and of their programs.
const (
	Docker = "docker"
	Podman = "podman"
)

// FromFile returns the engine that a file names, without testing it. It returns nil if the file
// does not exist, if its engine is no longer installed, or if the variable ENGINE names
// another one.
func FromFile(file string) (*Engine, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, nil
	}
	name := strings.TrimSpace(string(content))
	if forced := os.Getenv("ENGINE"); name != Docker && name != Podman || forced != "" && forced != name {
		return nil, nil
	}
	if _, err := exec.LookPath(name); err != nil {
		return nil, nil
	}
	if name == Docker {
		return &Engine{Name: Docker}, nil
	}
	return &Engine{Name: Podman}, adaptPodman()
}

// Find returns the engine that the package comment describes, but does not install one. If
// there is no engine, the error wraps ErrNone.
func Find(ctx context.Context) (*Engine, error) {
	e, _, err := choose(ctx)
	if err != nil || e.Name == Docker {
		return e, err
	}
	if _, err := exec.LookPath(Podman); err != nil {
		return nil, fmt.Errorf("%w: run `make up` as root on Debian or Ubuntu to install podman, or install Docker or podman", ErrNone)
	}
	return e, e.preparePodman(ctx)
}

// Ensure is like Find, but installs podman if there is no engine. If that fails, the error
// wraps ErrNone.
func Ensure(ctx context.Context, report *progress.Reporter) (*Engine, error) {
	e, dockerErr, err := choose(ctx)
	if err != nil || e.Name == Docker {
		return e, err
	}
	if err := ensurePodman(ctx, report); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if dockerErr != nil {
		report.Note("Using podman, because Docker cannot run the cluster: %v", dockerErr)
	}
	return e, e.preparePodman(ctx)
}

// ensurePodman installs podman, or the missing packages of Debian's podman. It installs nothing
// if podman is not from a Debian package.
func ensurePodman(ctx context.Context, report *progress.Reporter) error {
	_, err := exec.LookPath(Podman)
	installed := err == nil
	if installed && (!apt.CanInstall() || len(apt.Missing(ctx, "podman")) > 0) {
		return nil
	}
	return apt.Ensure(ctx, report, "to run the cluster's containers", podmanPackages...)
}

// choose selects Docker or podman. dockerErr is the error of Docker if it was tried.
func choose(ctx context.Context) (e *Engine, dockerErr, err error) {
	switch forced := os.Getenv("ENGINE"); forced {
	case "", Docker:
		if dockerErr = probeDocker(ctx); dockerErr == nil {
			return &Engine{Name: Docker}, nil, nil
		}
		if forced == Docker {
			return nil, nil, fmt.Errorf("use ENGINE=docker: %w", dockerErr)
		}
	case Podman:
	case "none":
		return nil, nil, fmt.Errorf("%w: ENGINE=none disables it: unset ENGINE, or use `make controlplane`", ErrNone)
	default:
		return nil, nil, fmt.Errorf("invalid ENGINE %q: use docker, podman or none, or unset it", forced)
	}
	return &Engine{Name: Podman}, dockerErr, nil
}

// Run runs the engine's program and copies its output to out.
func (e *Engine) Run(ctx context.Context, out io.Writer, args ...string) error {
	return subprocess.Command{Args: append([]string{e.Name}, args...), Progress: out}.Run(ctx)
}

// HasImage reports whether the engine's storage has ref.
func (e *Engine) HasImage(ctx context.Context, ref string) bool {
	return e.Run(ctx, nil, "image", "inspect", ref) == nil
}

// Pull downloads ref from its registry within limit.
func (e *Engine) Pull(ctx context.Context, out io.Writer, ref string, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no image after %s", limit))
	defer cancel()
	return e.Run(ctx, out, "pull", ref)
}

// Build builds the Dockerfile in dir as ref. It uses Docker's classic builder, because BuildKit
// may be missing.
func (e *Engine) Build(ctx context.Context, dir, ref string, out io.Writer) error {
	return subprocess.Command{
		Args:     []string{e.Name, "build", "--network=none", "--tag", ref, dir},
		Env:      []string{"DOCKER_BUILDKIT=0"},
		Progress: out,
	}.Run(ctx)
}

// RemoveImages removes the unused images whose references start with prefix, except keep.
// prefix must contain a repository name and a colon.
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
			_ = e.Run(ctx, nil, "image", "rm", ref) // an image in use, or the parent of another one, is kept
		}
	}
}
