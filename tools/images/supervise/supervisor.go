package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// restartSignal makes the supervisor run the newest program.
const restartSignal = syscall.SIGHUP

// supervisor runs one program at a time.
type supervisor struct {
	liveDir   string        // directory of newer programs
	args      []string      // the program and its arguments
	stopLimit time.Duration // how long a program may take to end before it is killed
}

// run returns the exit code of the last program.
func (s *supervisor) run() (int, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, restartSignal, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Stop(signals)
	for path := s.args[0]; ; path = s.newestProgram() {
		program, err := s.start(path)
		if err != nil {
			return 0, err
		}
		status, received := s.waitAndForward(program, signals)
		if received == nil && path != s.args[0] {
			fmt.Fprintf(os.Stderr, "supervise: %s ended with exit code %d: waiting for a newer program\n", path, exitCode(status))
			received = <-signals
		}
		if received != restartSignal {
			return exitCode(status), nil
		}
	}
}

// newestProgram returns the program in liveDir, or else that of the image.
func (s *supervisor) newestProgram() string {
	path := filepath.Join(s.liveDir, filepath.Base(s.args[0]))
	if _, err := os.Stat(path); err != nil {
		return s.args[0]
	}
	return path
}

func (s *supervisor) start(path string) (*os.Process, error) {
	program, err := os.StartProcess(path, s.args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", path, err)
	}
	return program, nil
}

// waitAndForward forwards signals until the program has ended. It returns the last signal, or nil
// if the program ended by itself.
func (s *supervisor) waitAndForward(program *os.Process, signals <-chan os.Signal) (status syscall.WaitStatus, received os.Signal) {
	ended := make(chan syscall.WaitStatus)
	go func() { ended <- reapUntil(program.Pid) }()
	for {
		select {
		case status := <-ended:
			return status, received
		case received = <-signals:
			forwarded := received
			if received == restartSignal {
				forwarded = syscall.SIGTERM
				defer time.AfterFunc(s.stopLimit, func() { _ = program.Kill() }).Stop()
			}
			_ = program.Signal(forwarded) // the program may just have ended
		}
	}
}

// reapUntil reaps children, including orphans, until the one with pid ends.
func reapUntil(pid int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		if ended, err := syscall.Wait4(-1, &status, 0, nil); err == nil && ended == pid {
			return status
		}
	}
}

// exitCode returns the exit code like a shell: 128 plus the signal if the program was killed.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
