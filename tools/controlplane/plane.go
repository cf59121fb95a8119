// Package controlplane runs an API server with the webhook of the checkout in the background,
// after the command that started it has ended. It does not know the command line.
//
// One process, the holder, runs etcd, the API server, some controllers and the programs of the
// checkout: the webhook and the controller namespace-owner. Up starts it, and Down ends it together
// with its programs. The kubeconfig and the log are in a directory of the user's
// cache.
package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// DefaultName is the default name of a control plane.
const DefaultName = "default"

// ErrDown means that the control plane is not running.
var ErrDown = errors.New("the control plane is not running: run `bin/controlplane up`")

// errStarting means that the control plane does not answer yet.
var errStarting = errors.New("the control plane is starting: try again in a moment")

// Plane is a control plane, running or not.
type Plane struct {
	Dir string
	// Static lets Up start an API server that reads the policy of the manifests from files and runs the plugin
	// ImagePolicyWebhook, and return an error if it was started without them.
	Static bool
}

// Open returns the control plane with a name. It may not exist yet.
func Open(name string) (*Plane, error) {
	planes, err := workspace.CacheDir("controlplane", "up")
	return &Plane{Dir: filepath.Join(planes, name)}, err
}

// Kubeconfig returns the path of the kubeconfig, which exists while the control plane runs.
func (p *Plane) Kubeconfig() string { return p.path("kubeconfig") }

// KubectlPath returns the path of a kubectl of the API server's version.
func (p *Plane) KubectlPath() string { return p.path("bin", "kubectl") }

// Log returns the path of the log. The log contains the output of the checkout's programs and of
// the Jobs, and the reason why the control plane did not start.
func (p *Plane) Log() string { return p.path("log") }

func (p *Plane) programDir() string { return p.path("bin") }

func (p *Plane) path(elem ...string) string {
	return filepath.Join(append([]string{p.Dir}, elem...)...)
}

// State is the state that the holder writes for other processes.
type State struct {
	PID           int    // process ID of the holder
	Release       string // Kubernetes version
	ManifestHash  string // hash of the manifests in deploy/
	Static        bool   // the API server reads policies from files and runs the plugin ImagePolicyWebhook
	Starts        int    // number of starts of the checkout's programs, including failed ones; 0: not started yet
	RestartError  string // error of the last restart of these programs
	RestartOutput string // output of the program that did not start
}

// State returns the state of a control plane that runs or starts, or ErrDown.
func (p *Plane) State() (state State, err error) {
	held, err := p.isHeld()
	if err != nil {
		return state, err
	}
	if !held {
		return state, ErrDown
	}
	content, err := os.ReadFile(p.path("state"))
	if errors.Is(err, fs.ErrNotExist) {
		return state, ErrDown // the holder has just started
	}
	if err == nil {
		err = json.Unmarshal(content, &state)
	}
	if err != nil {
		return state, fmt.Errorf("read the state of the control plane: %w", err)
	}
	return state, nil
}

// Ready is like State, but returns an error while the control plane starts.
func (p *Plane) Ready() (State, error) {
	state, err := p.State()
	if err == nil && state.Starts == 0 {
		err = errStarting
	}
	return state, err
}

// isHeld reports whether a holder runs.
func (p *Plane) isHeld() (bool, error) {
	unlock, err := workspace.TryLock(p.path("lock"))
	switch {
	case errors.Is(err, workspace.ErrLocked):
		return true, nil
	case errors.Is(err, fs.ErrNotExist): // never started
		return false, nil
	case err != nil:
		return false, err
	}
	unlock()
	return false, nil
}

// writeFile replaces a file atomically.
func (p *Plane) writeFile(name string, content []byte) error {
	return renameio.WriteFile(p.path(name), content, 0o600)
}

// stopLimit is how long the holder may take to stop its programs.
const stopLimit = 30 * time.Second

// Down stops the control plane. It does nothing if the control plane is not running.
func (p *Plane) Down(ctx context.Context, report *progress.Reporter) error {
	state, err := p.State()
	if errors.Is(err, ErrDown) {
		return nil
	}
	if err != nil {
		return err
	}
	return report.Step("stop the webhook and Kubernetes", func(*progress.Step) error { return p.stopHolder(ctx, state.PID) })
}

// stopHolder ends the holder, and kills it after stopLimit. Its programs end with it.
func (p *Plane) stopHolder(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, stopLimit, true, func(context.Context) (bool, error) {
		held, err := p.isHeld()
		return !held, err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx) // the holder has the signal, and ends by itself
	}
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return fmt.Errorf("stop process %d: it did not end within %s and was killed: see its log %s", pid, stopLimit, p.Log())
	}
	return nil
}
