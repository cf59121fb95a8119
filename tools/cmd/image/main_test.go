package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/cmd/image")
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	for _, test := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"--help"}, 0, ""},
		{[]string{"--tag=x"}, 2, "image: unknown flag: --tag (see `image --help`)\n"},
		{[]string{"x"}, 2, "image: unknown command \"x\" for \"image\" (see `image --help`)\n"},
		{[]string{"--version=1.2.3"}, 1, "image: invalid version \"1.2.3\": use one such as v1.2.3\n"},
		{[]string{"--arch=pdp11"}, 1, "image: invalid architecture \"pdp11\": use one of amd64, arm, arm64, ppc64le, riscv64, s390x\n"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			got := clitest.Run(t, newRoot, test.args...)
			if diff := cmp.Diff(test.stderr, got.Stderr); diff != "" || got.Code != test.code {
				t.Errorf("exit code %d, want %d (-want +got):\n%s", got.Code, test.code, diff)
			}
		})
	}
}
