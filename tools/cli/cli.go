// Package cli is the command line that all tools share, based on cobra. It does not know the
// tools. A tool exits with 0 on success, 2 for a mistake in the command line, 130 if it is
// interrupted, and for any other failure with the code of WithCode, or 1. It prints a failure
// once, in the form of package subprocess. Help texts have examples, which package clitest
// checks. Tools with verbs have shell completion: `TOOL completion bash`.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Text is the help text of a command.
type Text struct {
	Use     string // the name, and the arguments if there are any
	Short   string // description on one line
	Example string // shell commands and comments, indented by two spaces
}

func (t Text) newCommand(run func(c *cobra.Command) error) *cobra.Command {
	return &cobra.Command{
		Use: t.Use, Short: t.Short, Example: t.Example,
		Args: noArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error { return run(c) },
	}
}

// New returns the command of a tool without verbs and arguments.
func New(text Text, stdout, stderr io.Writer, run func(c *cobra.Command) error) *cobra.Command {
	root := text.newCommand(run)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return Mistake(c, "%w", err) })
	return root
}

// newWithVerbs returns the command of a tool with verbs. Without a verb it shows its help.
func newWithVerbs(text Text, stdout, stderr io.Writer) *cobra.Command {
	return New(text, stdout, stderr, func(c *cobra.Command) error { return c.Help() })
}

// AddVerb adds a verb without arguments.
func AddVerb(root *cobra.Command, text Text, run func(c *cobra.Command) error) *cobra.Command {
	verb := text.newCommand(run)
	root.AddCommand(verb)
	return verb
}

// mistake is an error in the command line.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// Mistake returns an error in the command line. The tool adds the command that shows its help,
// and exits with 2.
func Mistake(c *cobra.Command, format string, args ...any) error {
	return mistake{fmt.Errorf(format+" (see `%s --help`)", append(args, c.Root().Name())...)}
}

func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return Mistake(c, "%w", err)
	}
	return nil
}

// addCompletion adds cobra's verb completion, but returns an error for an unknown shell
// instead of the help.
func addCompletion(root *cobra.Command, args []string) {
	root.InitDefaultCompletionCmd(args...)
	for _, verb := range root.Commands() {
		if verb.Name() == "completion" {
			verb.Args, verb.RunE = noArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}

// Main is the main function of a tool. Ctrl-C, SIGTERM and the given signals end the context of
// its command.
func Main(newRoot func(stdout, stderr io.Writer) *cobra.Command, signals ...os.Signal) {
	ctx, _ := signal.NotifyContext(context.Background(), append(signals, os.Interrupt, syscall.SIGTERM)...)
	os.Exit(Run(ctx, newRoot(os.Stdout, os.Stderr), os.Args[1:], os.Stderr))
}

// Run runs a command line and returns the exit code.
func Run(ctx context.Context, root *cobra.Command, args []string, stderr io.Writer) int {
	root.SetArgs(args)
	addCompletion(root, args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(mistake)):
		fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
		return 2
	}
	code := subprocess.Print(stderr, root.Name(), err)
	if coded := (codedError{}); code == 1 && errors.As(err, &coded) {
		return coded.code
	}
	return code
}

// codedError is an error with its own exit code.
type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }

// WithCode returns an error that makes the tool exit with code, unless it was interrupted.
func WithCode(err error, code int) error { return codedError{err, code} }
