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

// stopLimit is how long the webhook may take to answer what is under way.
const stopLimit = 15 * time.Second

// Process is a running webhook.
type Process struct {
	Addr string // where it serves

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, then
}

// StartProcess returns when the program says that it serves; what it says goes to log.
// It ends at the latest with this process.
func StartProcess(ctx context.Context, program string, args []string, log io.Writer) (*Process, error) {
	p := &Process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	serving := make(chan string, 1)
	var said bytes.Buffer // until it serves
	go func() {
		defer close(p.done)
		follow(stderr, log, &said, serving)
		p.err = p.cmd.Wait()
	}()
	select {
	case p.Addr = <-serving:
		return p, nil
	case <-p.done:
		return nil, &subprocess.Error{Args: []string{filepath.Base(program)}, Err: p.err, Output: said.String()}
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), p.Stop())
	}
}

var servingLine = regexp.MustCompile(`msg=serving addr=(\S+)`)

// follow copies what the program says to log, and to before until it says where it
// serves.
func follow(stderr io.Reader, log io.Writer, before *bytes.Buffer, serving chan<- string) {
	lines := bufio.NewReader(stderr)
	var err error
	for started := false; err == nil; {
		var line []byte
		line, err = lines.ReadBytes('\n')
		_, _ = log.Write(line) // a log that is full is no reason to stop the webhook
		if started {
			continue
		}
		before.Write(line)
		if match := servingLine.FindSubmatch(line); match != nil {
			started = true
			serving <- string(match[1])
		}
	}
}

// Stop ends the program in order, or kills it when that takes too long.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopLimit):
		p.kill()
		return fmt.Errorf("%s did not stop within %s and was killed", filepath.Base(p.cmd.Path), stopLimit)
	}
}

// kill ends the program at once, if it has not ended.
func (p *Process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
