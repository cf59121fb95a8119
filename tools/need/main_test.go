package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/cli/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "bin/need")
}

func TestRun(t *testing.T) {
	type said struct {
		Code           int
		Stdout, Stderr string
	}
	const usage = "need: write need PURPOSE PROGRAM=PACKAGE[,PACKAGE]... (see `need --help`)\n"
	tests := []struct {
		name string
		args []string
		want said
	}{
		{"nothing", nil, said{2, "", usage}},
		{"no program", []string{"to test"}, said{2, "", usage}},
		{"no package", []string{"to test", "sh"}, said{2, "", "need: \"sh\" is no need: write PROGRAM=PACKAGE[,PACKAGE] (see `need --help`)\n"}},
		{"flag", []string{"--all", "to test", "sh=dash"}, said{2, "", "need: unknown flag: --all (see `need --help`)\n"}},
		{"there", []string{"to test", "sh=dash"}, said{0, "", ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			if diff := cmp.Diff(test.want, said{code, stdout.String(), stderr.String()}); diff != "" {
				t.Errorf("it says (-want +got):\n%s", diff)
			}
		})
	}
}
