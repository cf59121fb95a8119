// Command image-webhook is an admission webhook that denies images with disallowed
// tags and redirects images to registry mirrors.
//
// The exit code is 0 after a signal to stop, 2 for a usage error, and 1 for any other
// error. Every error is one line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program immediately.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	addCompletion(root)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var failure *exitError
	if !errors.As(err, &failure) {
		failure = &exitError{exitUsage, fmt.Errorf("%w: use %s; see %s --help", err, c.UseLine(), c.CommandPath())}
	}
	fmt.Fprintln(stderr, "image-webhook: "+oneLine(failure))
	return failure.code
}

// exitError is an error with an exit code. Errors of other types are usage errors:
// unknown commands, flags and arguments.
type exitError struct {
	code int
	error
}

// newRoot returns the root command. Each subcommand has its own file.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "image-webhook COMMAND",
		Short: "Deny images with disallowed tags and redirect images to registry mirrors",
		Example: serveExamples + `

  # Enable completion in this bash
  source <(image-webhook completion bash)`,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("no command")
		},
		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		SilenceErrors:         true,
		DisableSuggestions:    true, // they would add lines
	}
	root.AddCommand(newServe(), newVersion())
	return root
}

// addCompletion adds cobra's completion command, but returns an error for an unknown
// shell instead of the help. Call it after SetOut, because cobra binds the output of
// the scripts here.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic(err) // cannot happen: it has just been added
	}
	completion.Use = "completion SHELL"
	completion.DisableFlagsInUseLine = true
	completion.Args = noArgs
	completion.RunE = func(*cobra.Command, []string) error {
		return errors.New("no shell (bash, zsh, fish or powershell)")
	}
}

// noArgs returns an error if there are arguments besides flags.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// oneLine returns the text of an error with escaped line breaks.
func oneLine(err error) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(err.Error())
}
