package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
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
			got := clitest.Run(t, newRoot, test.args...)
			if got.Code != 2 || got.Stdout != "" || !strings.HasPrefix(got.Stderr, test.want) || strings.Count(got.Stderr, "\n") != 1 {
				t.Errorf("it says %+v, want exit code 2 and one line that begins with %q", got, test.want)
			}
		})
	}
}

// `make demo` goes on without a cluster then.
func TestNoEngineHasItsOwnExitCode(t *testing.T) {
	t.Setenv("ENGINE", "none")
	want := clitest.Said{Code: 3, Stderr: "cluster: no container engine: ENGINE=none rules them out: leave ENGINE out, or use `make controlplane`\n"}
	for _, verb := range []string{"engine", "up", "status"} {
		if diff := cmp.Diff(want, clitest.Run(t, newRoot, verb)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", verb, diff)
		}
	}
}

func TestNoEngineIsOneLine(t *testing.T) {
	t.Setenv("ENGINE", "lxc")
	want := clitest.Said{Code: 1, Stderr: "cluster: ENGINE=lxc is no engine: write ENGINE=docker, ENGINE=podman or ENGINE=none, or leave it out\n"}
	if diff := cmp.Diff(want, clitest.Run(t, newRoot, "status")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
