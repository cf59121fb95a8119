package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/tools/cli/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/cluster")
}

func TestWhatIsTypedWrongly(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // what the only line begins with
	}{
		{"unknown verb", []string{"upp"}, `cluster: unknown command "upp" for "cluster"`},
		{"unknown flag", []string{"up", "--nodes=3"}, "cluster: unknown flag: --nodes"},
		{"spare argument", []string{"down", "now"}, `cluster: unknown command "now" for "cluster down"`},
		{"bad name", []string{"up", "--name=No Such"}, `cluster: --name "No Such" is no name: write at most 40 lower-case letters`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if exit := run(t.Context(), test.args, &stdout, &stderr); exit != 2 {
				t.Errorf("exit code %d, want 2", exit)
			}
			if got := stderr.String(); !strings.HasPrefix(got, test.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("stderr is %q, want one line that begins with %q", got, test.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout is %q", stdout.String())
			}
		})
	}
}

// `make demo` goes on without a cluster then.
func TestNoEngineHasItsOwnExitCode(t *testing.T) {
	t.Setenv("ENGINE", "none")
	for _, verb := range []string{"engine", "up", "status"} {
		var stdout, stderr bytes.Buffer
		if exit := run(t.Context(), []string{verb}, &stdout, &stderr); exit != 3 || stderr.String() != "cluster: no container engine: ENGINE=none rules them out: leave ENGINE out, or use `make controlplane`\n" {
			t.Errorf("%s: exit code %d: %s", verb, exit, stderr.String())
		}
	}
}

func TestNoEngineIsOneLine(t *testing.T) {
	t.Setenv("ENGINE", "lxc")
	var stdout, stderr bytes.Buffer
	if exit := run(t.Context(), []string{"status"}, &stdout, &stderr); exit != 1 {
		t.Errorf("exit code %d, want 1", exit)
	}
	want := "cluster: ENGINE=lxc is no engine: write ENGINE=docker, ENGINE=podman or ENGINE=none, or leave it out\n"
	if got := stderr.String(); got != want {
		t.Errorf("stderr is %q, want %q", got, want)
	}
}
