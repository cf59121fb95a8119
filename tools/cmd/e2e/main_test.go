package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/e2e")
}

// What is wrong is said in a line, and no cluster is looked for.
func TestRefuses(t *testing.T) {
	t.Setenv("ENGINE", "none") // so that no case can reach a cluster of this machine
	for name, tt := range map[string]struct {
		args []string
		code int
		want string // the line, after the name of the program
	}{
		"unknown flag":         {[]string{"--bogus"}, 2, "unknown flag: --bogus (see `e2e --help`)"},
		"argument":             {[]string{"now"}, 2, `unknown command "now" for "e2e" (see ` + "`e2e --help`)"},
		"no name of a cluster": {[]string{"--name=a b"}, 2, "--name \"a b\" is no name: write at most 40 lower-case letters, digits and dashes (see `e2e --help`)"},
		"no process":           {[]string{"--procs=0"}, 2, "--procs 0 is too few: give 1 or more (see `e2e --help`)"},
		"no file":              {[]string{"--kubeconfig="}, 2, "--kubeconfig is empty: name a file, or leave it out for the cluster of `make up` (see `e2e --help`)"},
		"no expression":        {[]string{"--focus=a(b"}, 2, "--focus: error parsing regexp: missing closing ): `a(b` (see `e2e --help`)"},
		"no filter":            {[]string{"--label-filter=a && ("}, 2, `--label-filter "a && (" cannot be read: write one such as '!dev-cluster' or '(a || b) && c'` + " (see `e2e --help`)"},
		"to record elsewhere":  {[]string{"--record", "--kubeconfig=x"}, 2, "--record needs the cluster of `make up`: leave --kubeconfig out (see `e2e --help`)"},
	} {
		t.Run(name, func(t *testing.T) {
			want := clitest.Said{Code: tt.code, Stderr: "e2e: " + tt.want + "\n"}
			if diff := cmp.Diff(want, clitest.Run(t, newRoot, tt.args...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
