package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/cmd/fuzz")
}

func TestWhatIsTypedWrongly(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // the line, without where help is
	}{
		{"no duration", []string{"--time", "abc"}, `invalid argument "abc" for "--time" flag: time: invalid duration "abc"`},
		{"no unit", []string{"--time=30"}, `invalid argument "30" for "--time" flag: time: missing unit in duration "30"`},
		{"no time", []string{"--time=0s"}, "--time=0s is no time to fuzz for: write a duration such as 30s or 10m"},
		{"less than none", []string{"--time=-1s"}, "--time=-1s is no time to fuzz for: write a duration such as 30s or 10m"},
		{"an argument", []string{"FuzzParse"}, `unknown command "FuzzParse" for "fuzz"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := clitest.Said{Code: 2, Stderr: "fuzz: " + test.want + " (see `fuzz --help`)\n"}
			if diff := cmp.Diff(want, clitest.Run(t, newRoot, test.args...)); diff != "" {
				t.Errorf("it says (-want +got):\n%s", diff)
			}
		})
	}
}
