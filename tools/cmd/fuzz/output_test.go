package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// running, timeIsUp, inputFails and doesNotCompile are output of `go test -fuzz` of Go 1.26.8.
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

func TestExplainFailureDropsProgress(t *testing.T) {
	tests := []struct {
		name   string
		output string
		fails  bool   // go test fails
		want   string // output in the error; empty: no error
	}{
		{name: "passed", output: running + "PASS\n"},
		{name: "Go's own time limit", output: running + timeIsUp, fails: true},
		{name: "input fails", output: running + inputFails, fails: true, want: inputFails},
		{name: "input fails and time is up", output: running + inputFails + timeIsUp, fails: true, want: inputFails + timeIsUp},
		{name: "does not compile", output: doesNotCompile, fails: true, want: doesNotCompile},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var err error
			if test.fails {
				err = &subprocess.Error{Args: []string{"go", "test"}, Err: errors.New("exit status 1"), Output: test.output}
			}
			var got string
			if failed, ok := errors.AsType[*subprocess.Error](explainFailure(err)); ok {
				got = failed.Output
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplainFailureKeepsInterruption(t *testing.T) {
	if err := explainFailure(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestInputCountsComeFromLastProgressLine(t *testing.T) {
	tests := []struct {
		name   string
		output string
		want   string
	}{
		{"several progress lines", running + "PASS\n", "39275 inputs run, 3 reached new code"},
		{"no progress line", "PASS\n", "only the known inputs"},
		{"does not compile", doesNotCompile, "only the known inputs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, inputCounts(test.output)); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}
