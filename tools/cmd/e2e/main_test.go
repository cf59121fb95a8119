package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/e2e")
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	t.Setenv("ENGINE", "none") // no test case can reach a cluster of this machine
	for name, tt := range map[string]struct {
		args []string
		code int
		want string // the line after the name of the program
	}{
		"unknown flag":              {[]string{"--bogus"}, 2, "unknown flag: --bogus (see `e2e --help`)"},
		"unexpected argument":       {[]string{"now"}, 2, `unknown command "now" for "e2e" (see ` + "`e2e --help`)"},
		"invalid name":              {[]string{"--name=a b"}, 2, "invalid name \"a b\": use at most 40 lower-case letters, digits and dashes (see `e2e --help`)"},
		"no process":                {[]string{"--procs=0"}, 2, "invalid --procs 0: use 1 or more (see `e2e --help`)"},
		"empty kubeconfig":          {[]string{"--kubeconfig="}, 2, "invalid --kubeconfig \"\": use a file, or omit the flag for the cluster of `make up` (see `e2e --help`)"},
		"invalid focus":             {[]string{"--focus=a(b"}, 2, "invalid --focus: error parsing regexp: missing closing ): `a(b` (see `e2e --help`)"},
		"invalid label filter":      {[]string{"--label-filter=a && ("}, 2, `invalid --label-filter "a && (": use a filter such as '!dev-cluster' or '(a || b) && c'` + " (see `e2e --help`)"},
		"record on another cluster": {[]string{"--record", "--kubeconfig=x"}, 2, "--record needs the cluster of `make up`: omit --kubeconfig (see `e2e --help`)"},
	} {
		t.Run(name, func(t *testing.T) {
			want := clitest.Result{Code: tt.code, Stderr: "e2e: " + tt.want + "\n"}
			if diff := cmp.Diff(want, clitest.Run(t, newRoot, tt.args...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
