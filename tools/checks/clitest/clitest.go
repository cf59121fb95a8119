// Package clitest runs command lines in tests, and checks that the help of each command has
// examples that the program accepts. It does not know the programs.
package clitest

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
)

// Result is the exit code and the output of a run.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command line of a program. newRoot returns the program's root command.
func Run(t *testing.T, newRoot func(stdout, stderr io.Writer) *cobra.Command, args ...string) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), newRoot(&stdout, &stderr), args, &stderr)
	return Result{code, stdout.String(), stderr.String()}
}

// RunProgram runs a command line of a program with its own run function, and returns what run has
// returned and written.
func RunProgram(t *testing.T, run func(ctx context.Context, args []string, stdout, stderr io.Writer) int, args ...string) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr)
	return Result{code, stdout.String(), stderr.String()}
}

// UnreachableKubeconfig returns a kubeconfig file of a cluster that does not answer.
func UnreachableKubeconfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	const content = "{clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// CheckRefused checks that a program refuses a command line with a line of this text and the hint
// to its help.
func CheckRefused(t *testing.T, newRoot func(stdout, stderr io.Writer) *cobra.Command, args []string, text string) {
	t.Helper()
	program := newRoot(io.Discard, io.Discard).Name()
	want := Result{Code: 2, Stderr: program + ": " + text + " (see `" + program + " --help`)\n"}
	if diff := cmp.Diff(want, Run(t, newRoot, args...)); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// Examples checks the examples of all commands of a program, and returns the arguments of each
// example. newRoot returns the program's root command. call is the program's name in the
// examples, such as "bin/cluster".
func Examples(t *testing.T, newRoot func(stdout, stderr io.Writer) *cobra.Command, call string) (examples [][]string) {
	t.Helper()
	walk(newRoot(io.Discard, io.Discard), func(c *cobra.Command) {
		checkHelp(t, newRoot, c)
		found := false
		for line := range strings.Lines(c.Example) {
			args, ok := arguments(t, line, call)
			if !ok {
				continue
			}
			examples = append(examples, args)
			root := newRoot(io.Discard, io.Discard)
			found = parse(t, root, args) == c.CommandPath() || found || c.HasSubCommands()
		}
		if !found {
			t.Errorf("%s: no example of `%s`", c.CommandPath(), c.UseLine())
		}
	})
	return examples
}

// walk visits the commands that the help shows.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, verb := range c.Commands() {
		if verb.IsAvailableCommand() {
			walk(verb, visit)
		}
	}
}

// checkHelp checks the output of a command with --help.
func checkHelp(t *testing.T, newRoot func(stdout, stderr io.Writer) *cobra.Command, c *cobra.Command) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	root := newRoot(&stdout, &stderr)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append(strings.Fields(strings.TrimPrefix(c.CommandPath(), c.Root().CommandPath())), "--help"))
	if err := root.ExecuteContext(t.Context()); err != nil || stderr.Len() > 0 {
		t.Errorf("%s --help: %v: %s", c.CommandPath(), err, stderr.String())
	}
	if !strings.Contains(stdout.String(), "\nExamples:\n  # ") {
		t.Errorf("%s --help shows no examples with comments:\n%s", c.CommandPath(), stdout.String())
	}
}

// arguments returns the arguments if the line of an example calls the program. It uses the
// last occurrence of call, because a namespace may have the program's name.
func arguments(t *testing.T, line, call string) ([]string, bool) {
	t.Helper()
	start := strings.LastIndex(line, call)
	if start < 0 || strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil, false
	}
	rest := line[start+len(call):]
	if end := strings.IndexAny(rest, ")|>;&#\n"); end >= 0 {
		rest = rest[:end]
	}
	split, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+rest).Output()
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return strings.FieldsFunc(string(split), func(r rune) bool { return r == '\n' }), true
}

// parse parses a command line without running it, and returns the path of its command.
func parse(t *testing.T, root *cobra.Command, args []string) string {
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
