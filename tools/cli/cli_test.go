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

func TestRunReturnsExitCode(t *testing.T) {
	type result struct {
		Code   int
		Stderr string
	}
	tests := []struct {
		name string
		args []string
		err  error // returned by the verb
		want result
	}{
		{"success", []string{"go"}, nil, result{0, ""}},
		{"failure", []string{"go"}, errors.New("no cluster"), result{1, "tool: no cluster\n"}},
		{"failure with a code", []string{"go"}, WithCode(errors.New("no engine"), 3), result{3, "tool: no engine\n"}},
		{"interrupted", []string{"go"}, WithCode(context.Canceled, 3), result{130, "tool: interrupted: run the same command again to continue\n"}},
		{"unknown verb", []string{"fly"}, nil, result{2, "tool: unknown command \"fly\" for \"tool\" (see `tool --help`)\n"}},
		{"unexpected argument", []string{"go", "home"}, nil, result{2, "tool: unknown command \"home\" for \"tool go\" (see `tool --help`)\n"}},
		{"unknown flag", []string{"go", "--fast"}, nil, result{2, "tool: unknown flag: --fast (see `tool --help`)\n"}},
		{"unknown shell", []string{"completion", "tcsh"}, nil, result{2, "tool: unknown command \"tcsh\" for \"tool completion\" (see `tool --help`)\n"}},
		{"invalid name", []string{"go", "--name=A"}, nil, result{2, "tool: invalid name \"A\": use at most 40 lower-case letters, digits and dashes (see `tool --help`)\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			tool := NewNamed(Text{Use: "tool"}, "default", "name of the cluster", &stdout, &stderr)
			tool.AddVerb(Text{Use: "go"}, func(context.Context, string) error { return tt.err })
			got := result{Run(t.Context(), tool.Root, tt.args, &stderr), stderr.String()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompletionShowsVerbs(t *testing.T) {
	var stdout, stderr bytes.Buffer
	root := newWithVerbs(Text{Use: "tool"}, &stdout, &stderr)
	AddVerb(root, Text{Use: "go", Short: "Go there"}, func(*cobra.Command) error { return nil })
	if code := Run(t.Context(), root, []string{"__complete", "g"}, &stderr); code != 0 || !strings.HasPrefix(stdout.String(), "go\tGo there\n") {
		t.Errorf("exit code %d, completed %q: %s", code, stdout.String(), stderr.String())
	}
}
