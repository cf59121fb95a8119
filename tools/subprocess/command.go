// Package subprocess runs programs, captures their output, and prints a failure as one line
// followed by the program's output. It does not know the programs.
package subprocess

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// killDelay is how long an interrupted program may take to end before it is killed.
const killDelay = 10 * time.Second

// Command is a program to run. Only Args is required.
type Command struct {
	Args  []string  // the program and its arguments
	Dir   string    // working directory; empty: the one of this process
	Env   []string  // added to the environment of this process
	Stdin io.Reader // nil: no input
	// Stdout receives standard output, which is then not captured.
	Stdout io.Writer
	// Progress receives a copy of the captured output while the program runs.
	Progress io.Writer
}

// Error is the failure of a program.
type Error struct {
	Args   []string // empty if Err names the program
	Err    error    // the error of os/exec
	Output string   // standard error, and standard output unless Command.Stdout was set
}

// Error returns the program, its first arguments and how it ended, on one line.
func (e *Error) Error() string {
	if len(e.Args) == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", shorten(e.Args), e.Err)
}

// Unwrap returns the error of os/exec.
func (e *Error) Unwrap() error { return e.Err }

// shorten returns at most six words of a command line, for a message.
func shorten(args []string) string {
	const words = 6
	if len(args) > words {
		return strings.Join(args[:words], " ") + " …"
	}
	return strings.Join(args, " ")
}

// Run runs the program and waits for it. If ctx ends, it interrupts the program, and kills
// it if it does not end within killDelay.
func (c Command) Run(ctx context.Context) error {
	var captured bytes.Buffer
	output := io.Writer(&captured)
	if c.Progress != nil {
		output = io.MultiWriter(&captured, c.Progress)
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killDelay
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.Stdin, output, output
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if len(c.Env) > 0 {
		cmd.Env = append(os.Environ(), c.Env...)
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &Error{Args: c.Args, Err: err, Output: captured.String()}
	}
	return nil
}

// Output runs the program and returns its standard output without the newline at the end.
func (c Command) Output(ctx context.Context) (string, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run(ctx)
	return strings.TrimRight(out.String(), "\n"), err
}
