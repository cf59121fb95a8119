package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// ControllerManager is the program that Start also runs if Options.Controllers is not empty.
const ControllerManager = "kube-controller-manager"

// runningMessage is in the log when all controllers were built and the first one starts.
const runningMessage = "Controller starting..."

// controllerManager is a running kube-controller-manager.
type controllerManager struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// startControllers starts kube-controller-manager and returns when its controllers run.
func (s *Server) startControllers(ctx context.Context, program string, o Options) error {
	flags, err := s.controllerFlags(o)
	if err != nil {
		return fmt.Errorf("create a user for %s: %w", ControllerManager, err)
	}
	log, err := s.createLog(ControllerManager)
	if err != nil {
		return err
	}
	m := &controllerManager{cmd: exec.Command(program, flags...), done: make(chan struct{})}
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(m.done)
		_ = m.cmd.Wait() // endError reports the result
	}()
	if err := m.waitForLog(ctx, log.Name()); err != nil {
		m.kill()
		return s.startError(ControllerManager, err)
	}
	s.controllers = m
	return nil
}

// controllerFlags creates a user and returns the flags of kube-controller-manager.
func (s *Server) controllerFlags(o Options) ([]string, error) {
	user, err := s.plane.AddUser(envtest.User{Name: "system:kube-controller-manager"}, nil)
	if err != nil {
		return nil, err
	}
	content, err := user.KubeConfig()
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(s.Dir, ControllerManager+".kubeconfig")
	return append([]string{
		"--controllers=" + strings.Join(o.Controllers, ","),
		"--kubeconfig=" + kubeconfig,
		"--use-service-account-credentials=true",
		"--leader-elect=false",
		"--secure-port=0", // listen on no port
		"--concurrent-resource-quota-syncs=10",
		"--vmodule=controllermanager=1", // log runningMessage
	}, o.ControllerFlags...), os.WriteFile(kubeconfig, content, 0o600)
}

// waitForLog returns when runningMessage is in the log.
func (m *controllerManager) waitForLog(ctx context.Context, log string) error {
	ctx, stop := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("its log does not contain %q after %s", runningMessage, startLimit))
	defer stop()
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(context.Context) (bool, error) {
		content, err := os.ReadFile(log)
		if err != nil || strings.Contains(string(content), runningMessage) {
			return true, err
		}
		return false, m.endError()
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// endError returns how the process ended, or nil while it runs.
func (m *controllerManager) endError() error {
	select {
	case <-m.done:
		return errors.New(m.cmd.ProcessState.String())
	default:
		return nil
	}
}

// kill ends the process. All its state is in the API server.
func (m *controllerManager) kill() {
	_ = m.cmd.Process.Kill() // it may have ended
	<-m.done
}

// stopControllers ends kube-controller-manager. It returns an error if the process had already
// ended.
func (s *Server) stopControllers() error {
	if s.controllers == nil {
		return nil
	}
	err := s.controllers.endError()
	s.controllers.kill()
	if err != nil {
		return &subprocess.Error{Err: fmt.Errorf("%s ended early: %w", ControllerManager, err), Output: s.tailLog(ControllerManager)}
	}
	return nil
}
