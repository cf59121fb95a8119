package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/cli/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/need")
}

func TestRun(t *testing.T) {
	const usage = "need: write need PURPOSE PROGRAM=PACKAGE[,PACKAGE]... (see `need --help`)\n"
	tests := []struct {
		name string
		args []string
		want clitest.Said
	}{
		{"nothing", nil, clitest.Said{Code: 2, Stderr: usage}},
		{"no program", []string{"to test"}, clitest.Said{Code: 2, Stderr: usage}},
		{"no package", []string{"to test", "sh"}, clitest.Said{Code: 2, Stderr: "need: \"sh\" is no need: write PROGRAM=PACKAGE[,PACKAGE] (see `need --help`)\n"}},
		{"flag", []string{"--all", "to test", "sh=dash"}, clitest.Said{Code: 2, Stderr: "need: unknown flag: --all (see `need --help`)\n"}},
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
