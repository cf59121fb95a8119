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

// startLimit bounds the start of everything that has been built.
const startLimit = 3 * time.Minute

// Needs are the programs of Kubernetes that a plane consists of.
var Needs = append([]string{"kubectl"}, apiserver.Needs...)

// Up builds what is missing and the webhook of the module in root, and starts the
// plane; holder is the command that calls Hold. If the plane runs, its webhook is
// started anew, and what the API server has stored stays.
func (p *Plane) Up(ctx context.Context, programs *kubebuild.Programs, root string, holder []string, report *progress.Reporter) error {
	if err := programs.Build(ctx, report, Needs...); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.program()), 0o755); err != nil {
		return err
	}
	unlock, err := workspace.Lock(ctx, p.file("up.lock"), func(wait func() error) error {
		return report.Step("wait for another `up`", func(*progress.Step) error { return wait() })
	})
	if err != nil {
		return err
	}
	defer unlock()
	state, err := p.running(ctx, report)
	switch {
	case errors.Is(err, ErrDown):
		return p.start(ctx, programs, root, holder, report)
	case err != nil:
		return err
	}
	return p.renew(ctx, state, programs, root, report)
}

// start starts everything.
func (p *Plane) start(ctx context.Context, programs *kubebuild.Programs, root string, holder []string, report *progress.Reporter) error {
	if err := p.forget(); err != nil { // a holder that was killed
		return err
	}
	if err := p.prepare(ctx, programs, root, report); err != nil {
		return err
	}
	return report.Step("start etcd, kube-apiserver "+programs.Release+" and the webhook", func(*progress.Step) error {
		return p.launch(ctx, holder)
	})
}

// renew starts the webhook anew.
func (p *Plane) renew(ctx context.Context, state State, programs *kubebuild.Programs, root string, report *progress.Reporter) error {
	if err := p.check(state, programs, root); err != nil {
		return err
	}
	if err := p.prepare(ctx, programs, root, report); err != nil {
		return err
	}
	return report.Step("start the webhook anew", func(*progress.Step) error { return p.restart(ctx, state) })
}

// running returns the state of a plane whose API server answers. One whose API server
// has died is ended; one that is starting, for an `up` that was killed, is waited for.
func (p *Plane) running(ctx context.Context, report *progress.Reporter) (State, error) {
	state, err := p.State()
	if err == nil && state.Starts == 0 {
		state, err = p.until(ctx, startedSince(0))
	}
	if err != nil {
		return state, err
	}
	if _, err := p.answers(ctx); err == nil {
		return state, nil
	}
	report.Note("The API server does not answer any more.")
	if err := p.Down(ctx, report); err != nil {
		return state, err
	}
	return State{}, ErrDown
}

// check refuses what starting the webhook anew would not bring about.
func (p *Plane) check(state State, programs *kubebuild.Programs, root string) error {
	const remedy = "end it first with `bin/controlplane down`"
	if state.Release != programs.Release {
		return fmt.Errorf("it is up with Kubernetes %s, not %s: %s", state.Release, programs.Release, remedy)
	}
	_, manifests, err := readManifests(root)
	if err == nil && manifests != state.Manifests {
		return fmt.Errorf("deploy/ has changed since it was installed: %s", remedy)
	}
	return err
}

// readManifests reads deploy/ of a working tree, and a hash of it.
func readManifests(root string) (files []deploy.File, hash string, err error) {
	if files, err = deploy.Read(os.DirFS(filepath.Join(root, "deploy"))); err != nil {
		return nil, "", fmt.Errorf("read deploy/: %w", err)
	}
	return files, gobuild.Hash(fmt.Append(nil, files)), nil
}

// prepare makes the programs of the plane: the webhook, and a kubectl.
func (p *Plane) prepare(ctx context.Context, programs *kubebuild.Programs, root string, report *progress.Reporter) error {
	if err := localinstall.Build(ctx, root, p.program(), report); err != nil {
		return err
	}
	link := p.KubectlPath()
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(programs.Path("kubectl"), link)
}

// launch starts the holding process, in a session of its own, and returns when it
// has told its state.
func (p *Plane) launch(ctx context.Context, holder []string) error {
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
	if err = p.await(ctx, ended); err == nil {
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-ended:
	case <-time.After(killDelay):
		_ = cmd.Process.Kill() // what it has started ends with it
		<-ended
	}
	return err
}

// killDelay is how long the holding process may take to end while it is starting.
const killDelay = 10 * time.Second

// await waits until the holding process has started everything, or has ended.
func (p *Plane) await(ctx context.Context, ended chan error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case err := <-ended:
			ended <- err // for whoever waits for the end
			said, _ := os.ReadFile(p.Log())
			stop(&subprocess.Error{Args: []string{"controlplane"}, Err: err, Output: string(said)})
		case <-ctx.Done():
		}
	}()
	_, err := p.until(ctx, func(state State, err error) (bool, error) {
		if errors.Is(err, ErrDown) { // it has hardly begun
			return false, nil
		}
		return state.Starts > 0, err
	})
	return err
}

// startedSince is for until: the webhook has been started again.
func startedSince(before int) func(State, error) (bool, error) {
	return func(state State, err error) (bool, error) { return state.Starts > before, err }
}

// until waits until something is done, by the state.
func (p *Plane) until(ctx context.Context, done func(State, error) (bool, error)) (state State, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("nothing after %s: its log is %s", startLimit, p.Log()))
	defer stop()
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		state, err = p.State()
		return done(state, err)
	})
	if ctx.Err() != nil {
		return state, context.Cause(ctx)
	}
	return state, err
}

// restart has the holding process start the webhook anew.
func (p *Plane) restart(ctx context.Context, before State) error {
	if err := syscall.Kill(before.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("tell process %d: %w", before.PID, err)
	}
	state, err := p.until(ctx, startedSince(before.Starts))
	if err == nil && state.Problem != "" {
		err = &subprocess.Error{Err: fmt.Errorf("the new webhook does not start, and the one before goes on: %s", state.Problem), Output: state.Output}
	}
	return err
}
