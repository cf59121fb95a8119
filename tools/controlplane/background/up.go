package background

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

	"github.com/image-webhook/image-webhook/tools/cachedir"
	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/installation"
	"github.com/image-webhook/image-webhook/tools/kubernetes"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// startLimit bounds the start of everything that has been built.
const startLimit = 3 * time.Minute

// Up builds what is missing and the webhook of the module in root, and starts the
// plane; holder is the command that calls Hold. If the plane runs, its webhook is
// started anew, and what the API server has stored stays.
func (p *Plane) Up(ctx context.Context, programs *kubernetes.Programs, root string, holder []string, report *progress.Reporter) error {
	if err := programs.Build(ctx, report, append([]string{"kubectl"}, apiserver.Needs...)...); err != nil {
		return err
	}
	unlock, err := cachedir.Lock(ctx, p.file("up.lock"), func(wait func() error) error {
		return report.Step("wait for another `up`", func(*progress.Step) error { return wait() })
	})
	if err != nil {
		return err
	}
	defer unlock()
	state, err := p.running(ctx, report)
	running := err == nil
	if err != nil && !errors.Is(err, ErrDown) {
		return err
	}
	if running && state.Release != programs.Release {
		return fmt.Errorf("it is up with Kubernetes %s, not %s: end it first with `bin/controlplane down`", state.Release, programs.Release)
	}
	if err := p.prepare(ctx, programs, root, report); err != nil {
		return err
	}
	if running {
		return report.Step("start the webhook anew", func(*progress.Step) error { return p.restart(ctx, state) })
	}
	return report.Step("start etcd, kube-apiserver "+programs.Release+" and the webhook", func(*progress.Step) error {
		return p.launch(ctx, holder)
	})
}

// running returns the state of a plane whose API server answers. One whose API server
// has died is ended.
func (p *Plane) running(ctx context.Context, report *progress.Reporter) (State, error) {
	state, err := p.State()
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

// prepare makes the programs of the plane: the webhook, and a kubectl.
func (p *Plane) prepare(ctx context.Context, programs *kubernetes.Programs, root string, report *progress.Reporter) error {
	if err := os.MkdirAll(filepath.Dir(p.program()), 0o755); err != nil {
		return err
	}
	if err := installation.Build(ctx, root, p.program(), report); err != nil {
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
	err = p.await(ctx, cmd.Process.Pid, ended)
	if err != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	}
	return err
}

// await waits until the process has told its state, or has ended.
func (p *Plane) await(ctx context.Context, pid int, ended chan error) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, startLimit, true, func(context.Context) (bool, error) {
		select {
		case err := <-ended:
			ended <- err // for whoever waits for the end
			said, _ := os.ReadFile(p.Log())
			return false, &command.Error{Args: []string{"controlplane"}, Err: err, Output: string(said)}
		default:
		}
		state, err := p.State()
		return err == nil && state.PID == pid, nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// restart has the holding process start the webhook anew.
func (p *Plane) restart(ctx context.Context, before State) error {
	if err := syscall.Kill(before.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("tell process %d: %w", before.PID, err)
	}
	var state State
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, startLimit, true, func(context.Context) (done bool, err error) {
		state, err = p.State()
		return state.Starts > before.Starts, err
	})
	if err == nil && state.Problem != "" {
		err = fmt.Errorf("the webhook does not start, and the one before goes on: %s", state.Problem)
	}
	return err
}
