// Command supervise lets the program of a running container be replaced, for
// developing. It is the container's first process:
//
//	supervise PROGRAM [ARG...]
//
// runs PROGRAM, and
//
//	supervise --restart
//
// in the same container has it end that and run the program of the same name in the
// folder /live, if there is one. Signals that end a process go to the program, and
// orphans are reaped.
//
// Where PROGRAM ends by itself, so does the container, with the same exit code. Where
// one of /live does, the container waits for another: the kubelet would start it again
// later and later, and the next one may be there within seconds. A container that
// starts again begins with PROGRAM, though /live be a volume that outlives it: Tilt
// counts on that, and sends the newer one again.
//
// Called as tar, it unpacks what `kubectl cp` and Tilt send to a container, which
// otherwise holds nothing but the programs. See unpack.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	live     = "/live" // the folder of the newer programs
	patience = 10 * time.Second
)

func main() { os.Exit(run(os.Args, os.Stdin, os.Stderr)) }

// run returns the exit code: 2 for a command line that is not understood and, as of
// tar, for what cannot be unpacked.
func run(args []string, stdin io.Reader, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(stderr, "%s: %v\n", filepath.Base(args[0]), err)
		return 2
	}
	switch {
	case filepath.Base(args[0]) == "tar":
		if err := runTar(args[1:], stdin); err != nil {
			return fail(err)
		}
		return 0
	case len(args) < 2:
		return fail(fmt.Errorf("expected PROGRAM [ARG...], or --restart"))
	case args[1] == "--restart":
		if err := syscall.Kill(1, restart); err != nil {
			return fail(fmt.Errorf("tell process 1 to start its program anew: %w", err))
		}
		return 0
	}
	code, err := (&supervisor{folder: live, args: args[1:], patience: patience}).run()
	if err != nil {
		return fail(err)
	}
	return code
}
