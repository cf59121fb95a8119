package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/cmd/installpackages")
}

func TestRefusesInvalidRequirements(t *testing.T) {
	const usage = "installpackages: missing arguments: use installpackages PURPOSE PROGRAM=PACKAGE[,PACKAGE]... (see `installpackages --help`)\n"
	tests := []struct {
		name string
		args []string
		want clitest.Result
	}{
		{"no arguments", nil, clitest.Result{Code: 2, Stderr: usage}},
		{"no program", []string{"to test"}, clitest.Result{Code: 2, Stderr: usage}},
		{"no package", []string{"to test", "sh"}, clitest.Result{Code: 2, Stderr: "installpackages: invalid requirement \"sh\": use PROGRAM=PACKAGE[,PACKAGE]... (see `installpackages --help`)\n"}},
		{"unknown flag", []string{"--all", "to test", "sh=dash"}, clitest.Result{Code: 2, Stderr: "installpackages: unknown flag: --all (see `installpackages --help`)\n"}},
		{"program exists", []string{"to test", "sh=dash"}, clitest.Result{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, clitest.Run(t, newRoot, test.args...)); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}
