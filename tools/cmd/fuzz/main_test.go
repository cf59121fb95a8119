package main

import (
	"testing"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/cmd/fuzz")
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // the line without the hint to --help
	}{
		{"not a duration", []string{"--time", "abc"}, `invalid argument "abc" for "--time" flag: time: invalid duration "abc"`},
		{"no unit", []string{"--time=30"}, `invalid argument "30" for "--time" flag: time: missing unit in duration "30"`},
		{"zero", []string{"--time=0s"}, "invalid --time=0s: use a duration above zero, such as 30s or 10m"},
		{"negative", []string{"--time=-1s"}, "invalid --time=-1s: use a duration above zero, such as 30s or 10m"},
		{"unexpected argument", []string{"FuzzParse"}, `unknown command "FuzzParse" for "fuzz"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { clitest.CheckRefused(t, newRoot, test.args, test.want) })
	}
}
