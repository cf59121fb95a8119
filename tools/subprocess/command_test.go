package subprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutputReturnsStandardOutputOnly(t *testing.T) {
	out, err := Command{Args: []string{"sh", "-c", "echo $GREETING; echo warning >&2"}, Env: []string{"GREETING=hello"}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out != "hello" {
		t.Errorf("Output = %q, want hello", out)
	}
}

func TestRunKeepsOutputOfFailure(t *testing.T) {
	var progress bytes.Buffer
	err := Command{Args: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, Progress: &progress}.Run(t.Context())
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("Run returned %v, want an *Error", err)
	}
	if diff := cmp.Diff("out\nerr\n", failed.Output); diff != "" {
		t.Errorf("output differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("out\nerr\n", progress.String()); diff != "" {
		t.Errorf("progress differs (-want +got):\n%s", diff)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("no exit code 3 in %v", err)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started := writerFunc(func() { cancel() })
	err := Command{Args: []string{"sh", "-c", "echo started; exec tail -f /dev/null"}, Progress: started}.Run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want context.Canceled", err)
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

func TestPrintShowsCauseRemedyAndOutput(t *testing.T) {
	failed := func(output string) error {
		return fmt.Errorf("create cluster: %w", &Error{
			Args: []string{"podman", "run", "a", "b", "c", "d", "e"}, Err: errors.New("exit status 125"), Output: output,
		})
	}
	tests := []struct {
		name string
		err  error
		want string
		exit int
	}{
		{
			name: "error without output",
			err:  errors.New("no cluster: run `make up`"),
			want: "cluster: no cluster: run `make up`\n",
			exit: 1,
		},
		{
			name: "output below the cause",
			err:  failed("first\nsecond\n"),
			want: "cluster: create cluster: podman run a b c d …: exit status 125\n  | first\n  | second\n",
			exit: 1,
		},
		{
			name: "program without output",
			err:  failed(""),
			want: "cluster: create cluster: podman run a b c d …: exit status 125\n",
			exit: 1,
		},
		{
			name: "known cause with its remedy",
			err:  failed("Error: write /x: no space left on device\n"),
			want: "cluster: create cluster: podman run a b c d …: exit status 125: the disk is full: free a few gigabytes and try again\n" +
				"  | Error: write /x: no space left on device\n",
			exit: 1,
		},
		{
			name: "port in use",
			err:  failed("rootlessport listen tcp 0.0.0.0:8080: bind: address already in use"),
			want: "cluster: create cluster: podman run a b c d …: exit status 125: a port is in use: stop the program that listens there (`ss -ltnp` shows it) and try again\n" +
				"  | rootlessport listen tcp 0.0.0.0:8080: bind: address already in use\n",
			exit: 1,
		},
		{
			name: "interrupted",
			err:  fmt.Errorf("build kubelet: %w", context.Canceled),
			want: "cluster: interrupted: run the same command again to continue\n",
			exit: 130,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if exit := Print(&out, "cluster", test.err); exit != test.exit {
				t.Errorf("exit code %d, want %d", exit, test.exit)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("output differs (-want +got):\n%s", diff)
			}
		})
	}
}
