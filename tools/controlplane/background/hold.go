package background

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/image-webhook/image-webhook/tools/cachedir"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/installation"
	"github.com/image-webhook/image-webhook/tools/kubernetes"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// Hold runs the plane until ctx ends: it is the whole of the holding process, whose
// standard error is the log. What Up builds must be there.
func (p *Plane) Hold(ctx context.Context, programs *kubernetes.Programs) (err error) {
	free, ok := cachedir.TryLock(p.file("lock"))
	if !ok {
		return errors.New("it is up already")
	}
	defer free()
	defer p.forget()
	p.forget() // what a holder that was killed has left
	restart := make(chan os.Signal, 1)
	signal.Notify(restart, syscall.SIGHUP)
	defer signal.Stop(restart)

	report := progress.New(os.Stderr)
	server, err := apiserver.Start(ctx, apiserver.Options{Programs: programs}, report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	installed, err := installation.Install(ctx, installation.Options{Server: server, Program: p.program(), Log: os.Stderr}, report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, installed.Stop()) }()
	if err := p.tell(server, programs.Release); err != nil {
		return err
	}
	return p.serve(ctx, installed, programs.Release, restart)
}

// tell makes the plane known.
func (p *Plane) tell(server *apiserver.Server, release string) error {
	kubeconfig, err := server.Kubeconfig()
	if err != nil {
		return fmt.Errorf("make the kubeconfig: %w", err)
	}
	if err := p.write("kubeconfig", kubeconfig); err != nil {
		return err
	}
	return p.writeState(State{PID: os.Getpid(), Release: release, Starts: 1})
}

// serve starts the webhook anew whenever it is told to.
func (p *Plane) serve(ctx context.Context, installed *installation.Installation, release string, restart <-chan os.Signal) error {
	for state := (State{PID: os.Getpid(), Release: release, Starts: 1}); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-restart:
		}
		state.Starts++
		state.Problem = ""
		if err := installed.Restart(ctx); err != nil {
			state.Problem = err.Error()
		}
		if err := p.writeState(state); err != nil {
			return err
		}
	}
}

func (p *Plane) writeState(state State) error {
	content, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return p.write("state", content)
}

// forget removes what leads to a plane that runs.
func (p *Plane) forget() {
	_ = os.Remove(p.file("state"))
	_ = os.Remove(p.Kubeconfig())
}
