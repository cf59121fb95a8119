package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// startLimit is how long the start may take after the build.
const startLimit = 3 * time.Minute

// Programs are the Kubernetes programs of a control plane.
var Programs = append([]string{"kubectl", apiserver.ControllerManager}, apiserver.Programs...)

// Up builds the programs of the checkout in root and the missing programs, and starts the control
// plane; holder is the command line that calls Hold. If the control plane runs, Up only restarts
// the programs of the checkout, and the API server keeps its objects.
func (p *Plane) Up(ctx context.Context, programs *kubebuild.Programs, root string, holder []string, report *progress.Reporter) error {
	if err := p.checkStatic(programs); err != nil {
		return err
	}
	if err := programs.Build(ctx, report, Programs...); err != nil {
		return err
	}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return err
	}
	unlock, err := workspace.Lock(ctx, p.path("up.lock"), func(wait func() error) error {
		return report.Step("wait for another `bin/controlplane up`", func(*progress.Step) error { return wait() })
	})
	if err != nil {
		return err
	}
	defer unlock()
	state, err := p.findRunning(ctx, report)
	switch {
	case errors.Is(err, ErrDown):
		return p.startAll(ctx, programs, root, holder, report)
	case err != nil:
		return err
	}
	return p.restartWebhook(ctx, state, programs, root, report)
}

func (p *Plane) startAll(ctx context.Context, programs *kubebuild.Programs, root string, holder []string, report *progress.Reporter) error {
	if err := p.removeState(); err != nil { // a holder that was killed leaves its state
		return err
	}
	if err := p.buildPrograms(ctx, programs, root, report); err != nil {
		return err
	}
	return report.Step("start Kubernetes "+programs.Release+" and the webhook", func(*progress.Step) error {
		return p.startHolder(ctx, holder)
	})
}

func (p *Plane) restartWebhook(ctx context.Context, state State, programs *kubebuild.Programs, root string, report *progress.Reporter) error {
	if err := p.checkUnchanged(state, programs, root); err != nil {
		return err
	}
	if err := p.buildPrograms(ctx, programs, root, report); err != nil {
		return err
	}
	return report.Step("restart the webhook and its controller", func(*progress.Step) error { return p.signalRestart(ctx, state) })
}

// findRunning returns the state if the API server answers. Otherwise it stops the control plane. If
// the control plane is still starting, because an `up` was killed, it waits.
func (p *Plane) findRunning(ctx context.Context, report *progress.Reporter) (State, error) {
	state, err := p.State()
	if err == nil && state.Starts == 0 {
		state, err = p.waitForState(ctx, startedMoreThan(0))
	}
	if err != nil {
		return state, err
	}
	if _, err := p.checkReady(ctx); err == nil {
		return state, nil
	}
	report.Note("The API server no longer answers: everything is restarted.")
	if err := p.Down(ctx, report); err != nil {
		return state, err
	}
	return State{}, ErrDown
}

// checkUnchanged returns an error for changes that need more than a restart of the webhook.
func (p *Plane) checkUnchanged(state State, programs *kubebuild.Programs, root string) error {
	const remedy = "stop it first with `bin/controlplane down`"
	if state.Release != programs.Release {
		return fmt.Errorf("the control plane runs Kubernetes %s, not %s: %s", state.Release, programs.Release, remedy)
	}
	if p.Static && !state.Static {
		return fmt.Errorf("the control plane was started without static files: %s", remedy)
	}
	files, err := readManifests(root)
	if err == nil && files.hash() != state.ManifestHash {
		return fmt.Errorf("deploy/ has changed since the control plane was started: %s", remedy)
	}
	return err
}

// manifests are the manifests of a checkout.
type manifests struct{ webhook, namespaceOwner []deploy.File }

func readManifests(root string) (files manifests, err error) {
	dir := filepath.Join(root, "deploy")
	if files.webhook, err = deploy.Read(os.DirFS(dir)); err != nil {
		return files, fmt.Errorf("read deploy/: %w", err)
	}
	if files.namespaceOwner, err = deploy.Read(os.DirFS(filepath.Join(dir, deploy.NamespaceOwner))); err != nil {
		return files, fmt.Errorf("read deploy/%s/: %w", deploy.NamespaceOwner, err)
	}
	return files, nil
}

func (m manifests) hash() string { return gobuild.Hash(fmt.Append(nil, m)) }

// buildPrograms builds the programs of the checkout, and links kubectl.
func (p *Plane) buildPrograms(ctx context.Context, programs *kubebuild.Programs, root string, report *progress.Reporter) error {
	if err := localinstall.Build(ctx, root, p.programDir(), report); err != nil {
		return err
	}
	return renameio.Symlink(programs.Path("kubectl"), p.KubectlPath())
}

// startHolder starts the holder in its own session, and returns when it has started everything.
func (p *Plane) startHolder(ctx context.Context, holder []string) error {
	log, err := os.Create(p.Log())
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(holder[0], holder[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err = p.waitForStart(ctx, ended); err == nil {
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-ended:
	case <-time.After(killDelay):
		_ = cmd.Process.Kill() // its programs end with it
		<-ended
	}
	return err
}

// killDelay is how long the holder may take to end while it starts.
const killDelay = 10 * time.Second

// waitForStart waits until the holder has started everything, or has ended.
func (p *Plane) waitForStart(ctx context.Context, ended chan error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case err := <-ended:
			ended <- err // for startHolder
			log, _ := os.ReadFile(p.Log())
			stop(&subprocess.Error{Args: []string{"controlplane"}, Err: err, Output: string(log)})
		case <-ctx.Done():
		}
	}()
	_, err := p.waitForState(ctx, func(state State, err error) (bool, error) {
		if errors.Is(err, ErrDown) { // the holder has not locked the control plane yet
			return false, nil
		}
		return state.Starts > 0, err
	})
	return err
}

// startedMoreThan returns the condition for waitForState that the webhook has more than this
// number of starts.
func startedMoreThan(starts int) func(State, error) (bool, error) {
	return func(state State, err error) (bool, error) { return state.Starts > starts, err }
}

// waitForState waits until the condition is true for the state.
func (p *Plane) waitForState(ctx context.Context, condition func(State, error) (bool, error)) (state State, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer from the control plane within %s: see its log %s", startLimit, p.Log()))
	defer stop()
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		state, err = p.State()
		return condition(state, err)
	})
	if ctx.Err() != nil {
		return state, context.Cause(ctx)
	}
	return state, err
}

// signalRestart makes the holder restart the programs of the checkout, and waits for the result.
func (p *Plane) signalRestart(ctx context.Context, before State) error {
	if err := syscall.Kill(before.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("signal process %d: %w", before.PID, err)
	}
	state, err := p.waitForState(ctx, startedMoreThan(before.Starts))
	if err == nil && state.RestartError != "" {
		err = &subprocess.Error{Err: fmt.Errorf("restart the webhook and its controller: the new build does not start, so the old one keeps running: %s", state.RestartError), Output: state.RestartOutput}
	}
	return err
}
