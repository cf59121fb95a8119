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

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/staticfiles"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// lockLimit is how long Hold waits for the lock, which isHeld briefly holds.
const lockLimit = 5 * time.Second

// Hold runs the control plane with the manifests of the checkout in root until ctx ends. It is the
// main function of the holder, whose standard error is the log. Up must have built the programs.
func (p *Plane) Hold(ctx context.Context, programs *kubebuild.Programs, root string) error {
	locking, stop := context.WithTimeoutCause(ctx, lockLimit, errors.New("the control plane is already running"))
	unlock, err := workspace.Lock(locking, p.path("lock"), func(wait func() error) error { return wait() })
	stop()
	if err != nil {
		return err
	}
	defer unlock()
	files, err := readManifests(root)
	if err != nil {
		return err
	}
	state := State{PID: os.Getpid(), Release: programs.Release, ManifestHash: files.hash(), Static: p.Static}
	restart := make(chan os.Signal, 1)
	signal.Notify(restart, syscall.SIGHUP)
	defer signal.Stop(restart)
	if err := p.writeState(state); err != nil {
		return err
	}
	return errors.Join(p.run(ctx, state, programs, root, files, restart), p.removeState())
}

// controllers are the controllers of kube-controller-manager that namespaces with an owner need.
// Without the last one, the ClusterRole admin has no rights.
var controllers = []string{"resourcequota-controller", "namespace-controller", "serviceaccount-controller", "clusterrole-aggregation-controller"}

// run starts the programs, and stops them when ctx ends.
func (p *Plane) run(ctx context.Context, state State, programs *kubebuild.Programs, root string, files manifests, restart <-chan os.Signal) (err error) {
	report := progress.New(os.Stderr)
	server, plugin, err := p.startServer(ctx, programs, root, report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	installed, err := localinstall.Install(ctx, localinstall.Options{
		Server: server, Programs: p.programDir(), Manifests: files.webhook, NamespaceOwner: files.namespaceOwner, Log: os.Stderr,
	}, report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, installed.Stop()) }()
	if err := p.startPlugin(ctx, plugin); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plugin.Stop()) }()
	kubeconfig, err := server.Kubeconfig()
	if err != nil {
		return fmt.Errorf("create the kubeconfig: %w", err)
	}
	if err := p.writeFile("kubeconfig", kubeconfig); err != nil {
		return err
	}
	return p.handleRestarts(ctx, state, restart, func() error {
		if err := installed.Restart(ctx); err != nil {
			return err
		}
		return p.restartPlugin(ctx, plugin)
	})
}

// handleRestarts restarts the programs of the checkout on each signal, and writes the state
// after each start.
func (p *Plane) handleRestarts(ctx context.Context, state State, restart <-chan os.Signal, restartPrograms func() error) error {
	for {
		state.Starts++
		if err := p.writeState(state); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-restart:
		}
		state.RestartError, state.RestartOutput = "", ""
		if err := restartPrograms(); err != nil {
			state.RestartError = err.Error()
			if failed := (*subprocess.Error)(nil); errors.As(err, &failed) {
				state.RestartOutput = failed.Output
			}
		}
	}
}

func (p *Plane) writeState(state State) error {
	content, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return p.writeFile("state", content)
}

// removeState removes the files that exist only while the control plane runs.
func (p *Plane) removeState() error {
	err := os.RemoveAll(staticfiles.Directory(p.Kubeconfig()))
	for _, path := range []string{p.path("state"), p.Kubeconfig()} {
		if removed := os.Remove(path); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}
