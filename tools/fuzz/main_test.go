package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		args []string
		each time.Duration
		err  string // empty: none
	}{
		{name: "nothing said", each: 30 * time.Second},
		{name: "a time", args: []string{"--time", "10m"}, each: 10 * time.Minute},
		{name: "no duration", args: []string{"--time", "abc"}, err: `invalid value "abc" for flag -time: parse error`},
		{name: "no unit", args: []string{"--time=30"}, err: `invalid value "30" for flag -time: parse error`},
		{name: "no time", args: []string{"--time=0s"}, err: "0s is no time to fuzz for"},
		{name: "less than none", args: []string{"--time=-1s"}, err: "-1s is no time to fuzz for"},
		{name: "an argument", args: []string{"FuzzParse"}, err: `unexpected argument "FuzzParse"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			each, err := parse(test.args)
			var said string
			if err != nil {
				said = err.Error()
			}
			if diff := cmp.Diff(test.err, said); diff != "" {
				t.Errorf("the error differs (-want +got):\n%s", diff)
			}
			if err == nil && each != test.each {
				t.Errorf("each target has %s, want %s", each, test.each)
			}
		})
	}
}
