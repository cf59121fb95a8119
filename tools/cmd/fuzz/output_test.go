package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// What `go test -fuzz` of Go 1.26.8 says, as recorded.
const (
	running = `fuzz: elapsed: 0s, gathering baseline coverage: 0/355 completed
fuzz: elapsed: 0s, gathering baseline coverage: 355/355 completed, now fuzzing with 2 workers
fuzz: elapsed: 1s, execs: 31275 (30153/sec), new interesting: 0 (total: 355)
fuzz: elapsed: 1s, execs: 39275 (38153/sec), new interesting: 3 (total: 358)
fuzz: minimizing 100-byte failing input file
`
	timeIsUp = `--- FAIL: FuzzParse (1.04s)
    context deadline exceeded
FAIL
exit status 1
FAIL	github.com/image-webhook/image-webhook/webhook/image	1.040s
`
	inputFails = `--- FAIL: FuzzParse (0.13s)
    --- FAIL: FuzzParse (0.00s)
        reference_test.go:133: context deadline exceeded
    
    Failing input written to testdata/fuzz/FuzzParse/20dcd49123d0f779
    To re-run:
    go test -run=FuzzParse/20dcd49123d0f779
FAIL
exit status 1
FAIL	github.com/image-webhook/image-webhook/webhook/image	0.129s
`
	doesNotCompile = `# github.com/image-webhook/image-webhook/webhook/image [github.com/image-webhook/image-webhook/webhook/image.test]
webhook/image/reference_test.go:189:9: undefined: deadline
FAIL	github.com/image-webhook/image-webhook/webhook/image [build failed]
`
)

func TestVerdict(t *testing.T) {
	tests := []struct {
		name   string
		output string
		err    bool   // go test failed
		said   string // what is printed of the output; empty: nothing is wrong
	}{
		{name: "passed", output: running + "PASS\n"},
		{name: "Go's own time limit", output: running + timeIsUp, err: true},
		{name: "an input fails", output: running + inputFails, err: true, said: inputFails},
		{name: "an input fails as the time is up", output: running + inputFails + timeIsUp, err: true, said: inputFails + timeIsUp},
		{name: "does not compile", output: doesNotCompile, err: true, said: doesNotCompile},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var err error
			if test.err {
				err = &subprocess.Error{Args: []string{"go", "test"}, Err: errors.New("exit status 1"), Output: test.output}
			}
			var said string
			if failed, ok := errors.AsType[*subprocess.Error](verdict(err)); ok {
				said = failed.Output
			}
			if diff := cmp.Diff(test.said, said); diff != "" {
				t.Errorf("the failure differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerdictKeepsAnInterruption(t *testing.T) {
	if err := verdict(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("verdict returned %v, want context.Canceled", err)
	}
}

func TestReached(t *testing.T) {
	tests := []struct {
		name   string
		output string
		want   string
	}{
		{"the last line counts", running + "PASS\n", "39275 inputs run, 3 of them kept as new"},
		{"too short a time", "PASS\n", "only the known inputs"},
		{"does not compile", doesNotCompile, "only the known inputs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, reached(test.output)); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
		})
	}
}
