// Package background keeps an API server with the webhook of the working tree in
// front of it running after the command that started it has ended.
//
// It is held by one process, which Up starts and Down ends; with it end etcd, the API
// server and the webhook. What people use of it, and its log, lie in a folder of the
// user's cache.
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

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// DefaultName is the name of the plane that people use unless they want several.
const DefaultName = "default"

// ErrDown says that the plane does not run.
var ErrDown = errors.New("it is not up: `bin/controlplane up` starts it")

// ErrStarting says that the plane does not answer yet.
var ErrStarting = errors.New("it is starting: try again in a moment")

// Plane is one API server that goes on in the background, whether it runs or not.
type Plane struct {
	Dir string
}

// Open names the plane; it may not run, and may never have.
func Open(name string) (*Plane, error) {
	planes, err := workspace.Make("controlplane", "up")
	return &Plane{Dir: filepath.Join(planes, name)}, err
}

// Kubeconfig is there while the plane runs.
func (p *Plane) Kubeconfig() string { return p.file("kubeconfig") }

// KubectlPath is a kubectl of the API server's version.
func (p *Plane) KubectlPath() string { return p.file("bin", "kubectl") }

// Log has what the webhook and the Jobs say, and why the plane did not start.
func (p *Plane) Log() string { return p.file("log") }

func (p *Plane) program() string { return p.file("bin", "image-webhook") }

func (p *Plane) file(elem ...string) string {
	return filepath.Join(append([]string{p.Dir}, elem...)...)
}

// State is what the holding process tells the others.
type State struct {
	PID       int
	Release   string // of Kubernetes
	Manifests string // which those of deploy/ are, by a hash
	Starts    int    // how often the webhook was started; 0: everything is starting
	Problem   string // why it could not be, the last time
	Output    string // what it said then
}

// State returns what runs or is starting; ErrDown if nothing does.
func (p *Plane) State() (state State, err error) {
	held, err := p.held()
	if err != nil {
		return state, err
	}
	if !held {
		return state, ErrDown
	}
	content, err := os.ReadFile(p.file("state"))
	if errors.Is(err, fs.ErrNotExist) {
		return state, ErrDown // for the moment that is left until it is written
	}
	if err == nil {
		err = json.Unmarshal(content, &state)
	}
	if err != nil {
		return state, fmt.Errorf("read the state of the control plane: %w", err)
	}
	return state, nil
}

// Ready is State, but the error is ErrStarting until everything has been started.
func (p *Plane) Ready() (State, error) {
	state, err := p.State()
	if err == nil && state.Starts == 0 {
		err = ErrStarting
	}
	return state, err
}

// held reports whether there is a process that holds the plane.
func (p *Plane) held() (bool, error) {
	unlock, err := workspace.TryLock(p.file("lock"))
	switch {
	case errors.Is(err, workspace.ErrLocked):
		return true, nil
	case errors.Is(err, fs.ErrNotExist): // there never was one
		return false, nil
	case err != nil:
		return false, err
	}
	unlock()
	return false, nil
}

// write replaces a file in one step, so that nobody reads half of it.
func (p *Plane) write(name string, content []byte) error {
	path := p.file(name)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// stopLimit is how long the holding process may take to end in order.
const stopLimit = 30 * time.Second

// Down ends the plane, and does nothing if it does not run.
func (p *Plane) Down(ctx context.Context, report *progress.Reporter) error {
	state, err := p.State()
	if errors.Is(err, ErrDown) {
		return nil
	}
	if err != nil {
		return err
	}
	return report.Step("stop the webhook, kube-apiserver and etcd", func(*progress.Step) error { return p.end(ctx, state.PID) })
}

// end ends the holding process, by force if need be: what it runs ends with it.
func (p *Plane) end(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, stopLimit, true, func(context.Context) (bool, error) {
		held, err := p.held()
		return !held, err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx) // it has been told, and ends by itself
	}
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return fmt.Errorf("process %d did not end within %s and was killed: its log is %s", pid, stopLimit, p.Log())
	}
	return nil
}
