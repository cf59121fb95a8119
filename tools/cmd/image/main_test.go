package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/cmd/image")
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"--help"}, 0, ""},
		{[]string{"--tag=x"}, 2, "image: unknown flag: --tag (see `image --help`)\n"},
		{[]string{"x"}, 2, "image: unknown command \"x\" for \"image\" (see `image --help`)\n"},
		{[]string{"--version=1.2.3"}, 1, "image: \"1.2.3\" is no version: write one such as v1.2.3\n"},
		{[]string{"--arch=pdp11"}, 1, "image: no such architecture \"pdp11\": give one that Go builds for linux, such as amd64 or arm64\n"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			got := clitest.Run(t, newRoot, test.args...)
			if diff := cmp.Diff(test.stderr, got.Stderr); diff != "" || got.Code != test.code {
				t.Errorf("exit code %d, want %d (-want +got):\n%s", got.Code, test.code, diff)
			}
		})
	}
}
