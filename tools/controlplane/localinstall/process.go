package localinstall

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// stopLimit is how long a program may take to end, such as to answer requests in flight.
const stopLimit = 15 * time.Second

// Process is a running program of the product.
type Process struct {
	Addr string // address on which it serves

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // result of the process, valid when done is closed
}

// StartProcess starts the program and returns when it serves. The program's output goes to log.
// The kernel kills the program when this process ends.
func StartProcess(ctx context.Context, program string, args []string, log io.Writer) (*Process, error) {
	return startProcess(ctx, program, args, nil, log)
}

// startProcess is StartProcess with an environment; nil: that of this process.
func startProcess(ctx context.Context, program string, args, environment []string, log io.Writer) (*Process, error) {
	p := &Process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = environment
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	serving := make(chan string, 1)
	var startOutput bytes.Buffer
	go func() {
		defer close(p.done)
		copyLog(stderr, log, &startOutput, serving)
		p.err = p.cmd.Wait()
	}()
	select {
	case p.Addr = <-serving:
		return p, nil
	case <-p.done:
		return nil, &subprocess.Error{Args: []string{filepath.Base(program)}, Err: p.err, Output: startOutput.String()}
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), p.Stop())
	}
}

var servingLine = regexp.MustCompile(`msg=serving addr=(\S+)`)

// copyLog copies the program's output to log, and until the program serves also to startOutput.
// Then it sends the address to serving.
func copyLog(stderr io.Reader, log io.Writer, startOutput *bytes.Buffer, serving chan<- string) {
	lines := bufio.NewReader(stderr)
	var err error
	for started := false; err == nil; {
		var line []byte
		line, err = lines.ReadBytes('\n')
		_, _ = log.Write(line) // the program goes on if the log cannot be written
		if started {
			continue
		}
		startOutput.Write(line)
		if match := servingLine.FindSubmatch(line); match != nil {
			started = true
			serving <- string(match[1])
		}
	}
}

// PID returns the process ID, also after the process has ended.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the program to end, and kills it after stopLimit.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopLimit):
		p.kill()
		return fmt.Errorf("stop %s: it did not end within %s and was killed", filepath.Base(p.cmd.Path), stopLimit)
	}
}

// kill ends the program immediately.
func (p *Process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
