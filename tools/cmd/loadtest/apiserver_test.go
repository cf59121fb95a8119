package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
	"github.com/image-webhook/image-webhook/tools/cli"
)

// newAPIServerRoot returns the program with the verb apiserver only.
func newAPIServerRoot(stdout, stderr io.Writer) *cobra.Command {
	root := cli.New(cli.Text{Use: "loadtest", Short: "Test", Example: "  # Test\n  bin/loadtest apiserver"}, stdout, stderr, func(c *cobra.Command) error { return c.Help() })
	addAPIServer(root, stdout, stderr)
	return root
}

func TestAPIServerHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newAPIServerRoot, "bin/loadtest")
}

func TestAPIServerRefusesInvalidCommandLines(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // the line without the hint to --help
	}{
		{"unexpected argument", []string{"cel"}, `unknown command "cel" for "loadtest apiserver"`},
		{"no iteration", []string{"--iterations=0"}, "invalid --iterations=0: use a value above zero"},
		{"negative clients", []string{"--clients=-1"}, "invalid --clients=-1: use a value above zero"},
		{"no duration", []string{"--duration=0s"}, "invalid --duration=0s: use a value above zero"},
		{"short profile", []string{"--profile=10ms"}, "invalid --profile=10ms: use 0, or from 1s to 50s"},
		{"long profile", []string{"--profile=2m"}, "invalid --profile=2m0s: use 0, or from 1s to 50s"},
		{"page of a short run", []string{"--write", "--short"}, "--write writes accurate figures: omit --short"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := clitest.Result{Code: 2, Stderr: "loadtest: " + test.want + " (see `loadtest --help`)\n"}
			if diff := cmp.Diff(want, clitest.Run(t, newAPIServerRoot, append([]string{"apiserver"}, test.args...)...)); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPIServerNeedsAKubeconfig(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, want string }{
		{missing, "loadtest: read the kubeconfig: stat " + missing + ": no such file or directory\n"},
		{empty, "loadtest: read the kubeconfig: it is empty: run eval \"$(bin/controlplane env)\", or use --kubeconfig\n"},
	} {
		got := clitest.Run(t, newAPIServerRoot, "apiserver", "--kubeconfig", test.file)
		if diff := cmp.Diff(clitest.Result{Code: 1, Stderr: test.want}, got); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
	}
}
