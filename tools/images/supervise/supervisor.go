package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// restart is the signal to run what is newest.
const restart = syscall.SIGHUP

// supervisor runs one program at a time.
type supervisor struct {
	folder   string        // of newer programs
	args     []string      // the program and its arguments
	patience time.Duration // how long a program may take to make room for another
}

// run returns the exit code of the program that was the last.
func (s *supervisor) run() (int, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, restart, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Stop(signals)
	for path := s.args[0]; ; path = s.newest() {
		program, err := s.start(path)
		if err != nil {
			return 0, err
		}
		status, told := s.guard(program, signals)
		if told == nil && path != s.args[0] {
			fmt.Fprintf(os.Stderr, "supervise: %s has ended with %d: waiting for another\n", path, exitCode(status))
			told = <-signals
		}
		if told != restart {
			return exitCode(status), nil
		}
	}
}

func (s *supervisor) newest() string {
	path := filepath.Join(s.folder, filepath.Base(s.args[0]))
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

// guard returns when the program has ended, and the last signal that it was to end
// for, nil if it has ended by itself.
func (s *supervisor) guard(program *os.Process, signals <-chan os.Signal) (status syscall.WaitStatus, told os.Signal) {
	ended := make(chan syscall.WaitStatus)
	go func() { ended <- reapUntil(program.Pid) }()
	for {
		select {
		case status := <-ended:
			return status, told
		case told = <-signals:
			received := told
			if told == restart {
				received = syscall.SIGTERM
				defer time.AfterFunc(s.patience, func() { _ = program.Kill() }).Stop()
			}
			_ = program.Signal(received) // it may just have ended
		}
	}
}

// reapUntil collects every child that ends, until it is this one. The first process
// is given those that lost their parents.
func reapUntil(pid int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		if ended, err := syscall.Wait4(-1, &status, 0, nil); err == nil && ended == pid {
			return status
		}
	}
}

// exitCode is that of a shell: 128 and the signal for a program that was killed.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
