// Command image-webhook is an admission webhook that denies pods whose images
// can change under their name, and sends images to registry mirrors.
//
// It ends with 0 when it is told to stop, with 2 when what it was told is
// wrong and with 1 when something goes wrong later. Every error is one line.
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
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program: it returns the exit code.
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
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{exitUsage, fmt.Errorf("%w: write %s; see %s --help", err, c.UseLine(), c.CommandPath())}
	}
	fmt.Fprintln(stderr, "image-webhook: "+oneLine(e))
	return e.code
}

// exitError is an error of a command. Errors of any other type are about the
// command line itself: unknown commands, flags and arguments.
type exitError struct {
	code int
	error
}

// newRoot makes the command line: one file of this package for each verb.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "image-webhook COMMAND",
		Short: "Deny images that can change under their name; send images to mirrors",
		Example: serveExamples + `

  # Bash completes commands and flags in this shell
  source <(image-webhook completion bash)`,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("no command")
		},
		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		SilenceErrors:         true,
		DisableSuggestions:    true, // they are lines of their own
	}
	root.AddCommand(newServe(), newVersion())
	return root
}

// addCompletion adds cobra's command, which would show its help for a shell that it
// does not know. Its scripts go to where the root's output goes by then.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic(err) // it has just been added
	}
	completion.Use = "completion SHELL"
	completion.DisableFlagsInUseLine = true
	completion.Args = noArgs
	completion.RunE = func(*cobra.Command, []string) error {
		return errors.New("no shell: bash, zsh, fish or powershell")
	}
}

// noArgs refuses arguments that are not flags.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// oneLine keeps an error on its line whatever it quotes.
func oneLine(err error) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(err.Error())
}
