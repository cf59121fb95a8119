package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/cluster")
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // start of the only line
	}{
		{"unknown verb", []string{"upp"}, `cluster: unknown command "upp" for "cluster"`},
		{"unknown flag", []string{"up", "--nodes=3"}, "cluster: unknown flag: --nodes"},
		{"unexpected argument", []string{"down", "now"}, `cluster: unknown command "now" for "cluster down"`},
		{"invalid name", []string{"up", "--name=No Such"}, `cluster: invalid name "No Such": use at most 40 lower-case letters`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := clitest.Run(t, newRoot, test.args...)
			if got.Code != 2 || got.Stdout != "" || !strings.HasPrefix(got.Stderr, test.want) || strings.Count(got.Stderr, "\n") != 1 {
				t.Errorf("got %+v, want exit code 2 and one line that starts with %q", got, test.want)
			}
		})
	}
}

func TestMissingEngineHasOwnExitCode(t *testing.T) {
	t.Setenv("ENGINE", "none")
	want := clitest.Result{Code: 3, Stderr: "cluster: no container engine: ENGINE=none disables it: unset ENGINE, or use `make controlplane`\n"}
	for _, verb := range []string{"engine", "up", "status"} {
		if diff := cmp.Diff(want, clitest.Run(t, newRoot, verb)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", verb, diff)
		}
	}
}

func TestInvalidEngineIsRefused(t *testing.T) {
	t.Setenv("ENGINE", "lxc")
	want := clitest.Result{Code: 1, Stderr: "cluster: invalid ENGINE \"lxc\": use docker, podman or none, or unset it\n"}
	if diff := cmp.Diff(want, clitest.Run(t, newRoot, "status")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
