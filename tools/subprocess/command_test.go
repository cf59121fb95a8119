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

func TestOutput(t *testing.T) {
	out, err := Command{Args: []string{"sh", "-c", "echo $GREETING; echo aside >&2"}, Env: []string{"GREETING=hello"}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out != "hello" {
		t.Errorf("Output = %q, want hello", out)
	}
}

func TestRunKeepsTheOutputOfAFailure(t *testing.T) {
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
		t.Errorf("the exit code is lost: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started := writerFunc(func() { cancel() })
	err := Command{Args: []string{"sh", "-c", "echo started; exec tail -f /dev/null"}, Progress: started}.Run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want context.Canceled", err)
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

func TestPrint(t *testing.T) {
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
			name: "an error of our own is one line",
			err:  errors.New("no cluster: run `make up`"),
			want: "cluster: no cluster: run `make up`\n",
			exit: 1,
		},
		{
			name: "a program's output is kept below the cause",
			err:  failed("first\nsecond\n"),
			want: "cluster: create cluster: podman run a b c d …: exit status 125\n  | first\n  | second\n",
			exit: 1,
		},
		{
			name: "a program without output",
			err:  failed(""),
			want: "cluster: create cluster: podman run a b c d …: exit status 125\n",
			exit: 1,
		},
		{
			name: "a known cause gets its remedy",
			err:  failed("Error: write /x: no space left on device\n"),
			want: "cluster: create cluster: podman run a b c d …: exit status 125: the disk is full: free some gigabytes and run it again\n" +
				"  | Error: write /x: no space left on device\n",
			exit: 1,
		},
		{
			name: "a port in use",
			err:  failed("rootlessport listen tcp 0.0.0.0:8080: bind: address already in use"),
			want: "cluster: create cluster: podman run a b c d …: exit status 125: a port is in use: stop the program that listens there (`ss -ltnp` shows it) and run it again\n" +
				"  | rootlessport listen tcp 0.0.0.0:8080: bind: address already in use\n",
			exit: 1,
		},
		{
			name: "an interruption is no failure to explain",
			err:  fmt.Errorf("build kubelet: %w", context.Canceled),
			want: "cluster: interrupted; the same command goes on from here\n",
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
