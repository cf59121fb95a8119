package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// holdPatience is how long somebody who only looks may have the lock.
const holdPatience = 5 * time.Second

// Hold runs the plane until ctx ends: it is the whole of the holding process, whose
// standard error is the log. What Up builds must be there; root is the folder of the
// module whose manifests are installed.
func (p *Plane) Hold(ctx context.Context, programs *kubebuild.Programs, root string) error {
	patience, stop := context.WithTimeoutCause(ctx, holdPatience, errors.New("it is up already"))
	unlock, err := workspace.Lock(patience, p.file("lock"), func(wait func() error) error { return wait() })
	stop()
	if err != nil {
		return err
	}
	defer unlock()
	files, manifests, err := readManifests(root)
	if err != nil {
		return err
	}
	state := State{PID: os.Getpid(), Release: programs.Release, Manifests: manifests}
	restart := make(chan os.Signal, 1)
	signal.Notify(restart, syscall.SIGHUP)
	defer signal.Stop(restart)
	if err := p.tell(state); err != nil {
		return err
	}
	return errors.Join(p.hold(ctx, state, programs, files, restart), p.forget())
}

// hold starts everything, and stops it.
func (p *Plane) hold(ctx context.Context, state State, programs *kubebuild.Programs, files []deploy.File, restart <-chan os.Signal) (err error) {
	report := progress.New(os.Stderr)
	server, err := apiserver.Start(ctx, apiserver.Options{Programs: programs}, report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	installed, err := localinstall.Install(ctx,
		localinstall.Options{Server: server, Program: p.program(), Manifests: files, Log: os.Stderr}, report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, installed.Stop()) }()
	kubeconfig, err := server.Kubeconfig()
	if err != nil {
		return fmt.Errorf("make the kubeconfig: %w", err)
	}
	if err := p.write("kubeconfig", kubeconfig); err != nil {
		return err
	}
	return p.serve(ctx, state, installed, restart)
}

// serve tells of each start of the webhook, and starts it anew whenever it is told to.
func (p *Plane) serve(ctx context.Context, state State, installed *localinstall.Installation, restart <-chan os.Signal) error {
	for {
		state.Starts++
		if err := p.tell(state); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-restart:
		}
		state.Problem, state.Output = "", ""
		if err := installed.Restart(ctx); err != nil {
			state.Problem = err.Error()
			if failed := (*subprocess.Error)(nil); errors.As(err, &failed) {
				state.Output = failed.Output
			}
		}
	}
}

// tell makes the state known.
func (p *Plane) tell(state State) error {
	content, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return p.write("state", content)
}

// forget removes what leads to a plane that runs.
func (p *Plane) forget() (err error) {
	for _, path := range []string{p.file("state"), p.Kubeconfig()} {
		if removed := os.Remove(path); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}
