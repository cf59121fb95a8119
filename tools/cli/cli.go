// Package cli is what the tools have in common: a command line of cobra that ends
// with 0, with 2 for a mistake of the person who typed it, with 130 when it is
// interrupted, and for any other failure with the code of WithCode, or 1. Every failure
// is printed once, as package command does. Help has examples, which package clitest
// checks, and tools with verbs complete them: `TOOL completion bash`.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Text is what the help of a command says.
type Text struct {
	Use     string // the name, and the arguments if there are any
	Short   string // what it does, in a line
	Example string // lines for a shell, indented by two spaces, and comments
}

func (t Text) command(do func(c *cobra.Command) error) *cobra.Command {
	return &cobra.Command{
		Use: t.Use, Short: t.Short, Example: t.Example,
		Args: noArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error { return do(c) },
	}
}

// New makes the command of a tool without verbs and arguments.
func New(text Text, stdout, stderr io.Writer, do func(c *cobra.Command) error) *cobra.Command {
	root := text.command(do)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return Mistake(c, "%w", err) })
	return root
}

// NewRoot makes the command of a tool with verbs, which by itself shows its help.
func NewRoot(text Text, stdout, stderr io.Writer) *cobra.Command {
	return New(text, stdout, stderr, func(c *cobra.Command) error { return c.Help() })
}

// AddVerb adds a verb without arguments.
func AddVerb(root *cobra.Command, text Text, do func(c *cobra.Command) error) *cobra.Command {
	verb := text.command(do)
	root.AddCommand(verb)
	return verb
}

// mistake is an error of the person who typed the command line.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// Mistake is an error that ends the tool with 2 and says where its help is.
func Mistake(c *cobra.Command, format string, args ...any) error {
	return mistake{fmt.Errorf(format+" (see `%s --help`)", append(args, c.Root().Name())...)}
}

func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return Mistake(c, "%w", err)
	}
	return nil
}

// name is what is safe as a folder's name, and what kind takes for a cluster's.
var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// CheckName refuses a value of the flag --name that is none.
func CheckName(c *cobra.Command, value string) error {
	if !name.MatchString(value) {
		return Mistake(c, "--name %q is no name: write at most 40 lower-case letters, digits and dashes", value)
	}
	return nil
}

// addCompletion adds cobra's verb, which would show its help for a shell that it does
// not know.
func addCompletion(root *cobra.Command, args []string) {
	root.InitDefaultCompletionCmd(args...)
	for _, verb := range root.Commands() {
		if verb.Name() == "completion" {
			verb.Args, verb.RunE = noArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}

// Main is the main function of a tool. What is told to end, by Ctrl-C, SIGTERM or one
// of more signals, is the context of its command.
func Main(newRoot func(stdout, stderr io.Writer) *cobra.Command, more ...os.Signal) {
	ctx, _ := signal.NotifyContext(context.Background(), append(more, os.Interrupt, syscall.SIGTERM)...)
	os.Exit(Run(ctx, newRoot(os.Stdout, os.Stderr), os.Args[1:], os.Stderr))
}

// Run runs the command line and returns the exit code.
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
	if with := (coded{}); code == 1 && errors.As(err, &with) {
		return with.code
	}
	return code
}

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// WithCode is an error that ends the tool with a code of its own, unless the tool was
// interrupted.
func WithCode(err error, code int) error { return coded{err, code} }
