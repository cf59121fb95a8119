// Package subprocess runs other programs and keeps what they said, so that a
// failure can be shown as one line of our own with the program's output below.
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

// killDelay is how long an interrupted program may take to stop by itself.
const killDelay = 10 * time.Second

// Command is a program to run. The zero value of every field but Args is usable.
type Command struct {
	Args  []string  // the program and its arguments
	Dir   string    // where it runs; empty: here
	Env   []string  // added to this process's environment
	Stdin io.Reader // nil: no input
	// Stdout receives standard output instead of the captured output.
	Stdout io.Writer
	// Progress receives a copy of the captured output while it is written.
	Progress io.Writer
}

// Error is a program that failed, with everything it wrote.
type Error struct {
	Args   []string // empty if Err names the program already
	Err    error    // as os/exec returned it
	Output string   // standard error, and standard output unless it was asked for
}

// Error names the program, its first arguments and how it ended, on one line.
func (e *Error) Error() string {
	if len(e.Args) == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", Shorten(e.Args), e.Err)
}

// Unwrap returns the error of os/exec.
func (e *Error) Unwrap() error { return e.Err }

// Shorten renders a command line for a message: at most six words.
func Shorten(args []string) string {
	const words = 6
	if len(args) > words {
		return strings.Join(args[:words], " ") + " …"
	}
	return strings.Join(args, " ")
}

// Run runs the program and waits for it. When ctx ends, the program gets an
// interrupt, and is killed only if that does not stop it.
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

// Output runs the program and returns its standard output without the newline
// at the end.
func (c Command) Output(ctx context.Context) (string, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run(ctx)
	return strings.TrimRight(out.String(), "\n"), err
}
