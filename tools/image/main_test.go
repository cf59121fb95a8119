package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/image/archive"
)

func TestParse(t *testing.T) {
	got, err := parse([]string{"--arch=arm64", "--output", "x.tar"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(archive.Options{Arch: "arm64", Output: "x.tar"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"--help"}, 0, ""},
		{[]string{"--tag=x"}, 2, "image: flag provided but not defined: -tag: see image --help\n"},
		{[]string{"x"}, 2, "image: unexpected argument \"x\": see image --help\n"},
		{[]string{"--arch=pdp11"}, 1, "image: no such architecture \"pdp11\": give one that Go builds for linux, such as amd64 or arm64\n"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(t.Context(), test.args, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if diff := cmp.Diff(test.stderr, stderr.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
