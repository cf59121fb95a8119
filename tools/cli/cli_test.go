package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestRun(t *testing.T) {
	type said struct {
		Code   int
		Stderr string
	}
	tests := []struct {
		name string
		args []string
		err  error // of the verb
		want said
	}{
		{"well", []string{"go"}, nil, said{0, ""}},
		{"failed", []string{"go"}, errors.New("no road"), said{1, "tool: no road\n"}},
		{"with a code", []string{"go"}, WithCode(errors.New("no fuel"), 3), said{3, "tool: no fuel\n"}},
		{"interrupted", []string{"go"}, WithCode(context.Canceled, 3), said{130, "tool: interrupted; the same command goes on from here\n"}},
		{"verb", []string{"fly"}, nil, said{2, "tool: unknown command \"fly\" for \"tool\" (see `tool --help`)\n"}},
		{"argument", []string{"go", "home"}, nil, said{2, "tool: unknown command \"home\" for \"tool go\" (see `tool --help`)\n"}},
		{"flag", []string{"go", "--fast"}, nil, said{2, "tool: unknown flag: --fast (see `tool --help`)\n"}},
		{"shell", []string{"completion", "tcsh"}, nil, said{2, "tool: unknown command \"tcsh\" for \"tool completion\" (see `tool --help`)\n"}},
		{"name", []string{"go", "--name=A"}, nil, said{2, "tool: --name \"A\" is no name: write at most 40 lower-case letters, digits and dashes (see `tool --help`)\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			root := NewRoot(Text{Use: "tool"}, &stdout, &stderr)
			name := root.PersistentFlags().String("name", "it", "its name")
			AddVerb(root, Text{Use: "go"}, func(c *cobra.Command) error { return errors.Join(CheckName(c, *name), tt.err) })
			got := said{Run(t.Context(), root, tt.args, &stderr), stderr.String()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("it says (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	root := NewRoot(Text{Use: "tool"}, &stdout, &stderr)
	AddVerb(root, Text{Use: "go", Short: "Go away"}, func(*cobra.Command) error { return nil })
	if code := Run(t.Context(), root, []string{"__complete", "g"}, &stderr); code != 0 || !strings.HasPrefix(stdout.String(), "go\tGo away\n") {
		t.Errorf("exit code %d, completed %q: %s", code, stdout.String(), stderr.String())
	}
}
