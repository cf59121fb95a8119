// Package clitest runs a program's command line, and checks what its help says: that each
// of its commands has examples, and that each example is a command line that it takes.
package clitest

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
)

// Said is what a run printed, and its exit code.
type Said struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command line. NewRoot makes the program's command.
func Run(t *testing.T, newRoot func(stdout, stderr io.Writer) *cobra.Command, args ...string) Said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), newRoot(&stdout, &stderr), args, &stderr)
	return Said{code, stdout.String(), stderr.String()}
}

// Examples checks the examples of all commands of a program, and returns the arguments
// of each, for tests of what their values say. NewRoot makes the program's command;
// call is how the examples call it, as in "bin/cluster".
func Examples(t *testing.T, newRoot func(stdout, stderr io.Writer) *cobra.Command, call string) (all [][]string) {
	t.Helper()
	walk(newRoot(io.Discard, io.Discard), func(c *cobra.Command) {
		checkHelp(t, newRoot, c)
		found := false
		for line := range strings.Lines(c.Example) {
			args, ok := arguments(t, line, call)
			if !ok {
				continue
			}
			all = append(all, args)
			root := newRoot(io.Discard, io.Discard)
			found = check(t, root, args) == c.CommandPath() || found || c.HasSubCommands()
		}
		if !found {
			t.Errorf("%s: none of its examples is one of `%s`", c.CommandPath(), c.UseLine())
		}
	})
	return all
}

// walk visits the commands that help shows.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, verb := range c.Commands() {
		if verb.IsAvailableCommand() {
			walk(verb, visit)
		}
	}
}

// checkHelp runs a command with --help.
func checkHelp(t *testing.T, newRoot func(stdout, stderr io.Writer) *cobra.Command, c *cobra.Command) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	root := newRoot(&stdout, &stderr)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append(strings.Fields(c.CommandPath())[1:], "--help"))
	if err := root.ExecuteContext(t.Context()); err != nil || stderr.Len() > 0 {
		t.Errorf("%s --help: %v: %s", c.CommandPath(), err, stderr.String())
	}
	if !strings.Contains(stdout.String(), "\nExamples:\n  # ") {
		t.Errorf("%s --help shows no examples, with what each is for:\n%s", c.CommandPath(), stdout.String())
	}
}

// arguments returns those of an example's line that calls the program: what comes last
// in it, as a namespace may have the program's name.
func arguments(t *testing.T, line, call string) ([]string, bool) {
	t.Helper()
	at := strings.LastIndex(line, call)
	if at < 0 || strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil, false
	}
	rest := line[at+len(call):]
	if end := strings.IndexAny(rest, ")|>;&#\n"); end >= 0 {
		rest = rest[:end]
	}
	split, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+rest).Output()
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return strings.FieldsFunc(string(split), func(r rune) bool { return r == '\n' }), true
}

// check reads a command line and runs nothing. It returns the command that would run.
func check(t *testing.T, root *cobra.Command, args []string) string {
	t.Helper()
	root.InitDefaultCompletionCmd(args...)
	c, rest, err := root.Find(args)
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err == nil {
		err = c.ValidateRequiredFlags()
	}
	if err != nil {
		t.Errorf("example %q: %v", args, err)
	}
	return c.CommandPath()
}
