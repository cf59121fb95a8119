package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/cmd/installpackages")
}

func TestRun(t *testing.T) {
	const usage = "installpackages: write installpackages PURPOSE PROGRAM=PACKAGE[,PACKAGE]... (see `installpackages --help`)\n"
	tests := []struct {
		name string
		args []string
		want clitest.Said
	}{
		{"nothing", nil, clitest.Said{Code: 2, Stderr: usage}},
		{"no program", []string{"to test"}, clitest.Said{Code: 2, Stderr: usage}},
		{"no package", []string{"to test", "sh"}, clitest.Said{Code: 2, Stderr: "installpackages: \"sh\" is not a requirement: write PROGRAM=PACKAGE[,PACKAGE] (see `installpackages --help`)\n"}},
		{"flag", []string{"--all", "to test", "sh=dash"}, clitest.Said{Code: 2, Stderr: "installpackages: unknown flag: --all (see `installpackages --help`)\n"}},
		{"there", []string{"to test", "sh=dash"}, clitest.Said{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, clitest.Run(t, newRoot, test.args...)); diff != "" {
				t.Errorf("it says (-want +got):\n%s", diff)
			}
		})
	}
}
