// Command supervise replaces the program of a running container during development. It is the
// first process of the container:
//
//	supervise PROGRAM [ARG...]
//
// runs PROGRAM. In the same container,
//
//	supervise --restart
//
// ends the program and runs the one with the same name in the directory /live, if it exists.
// supervise forwards termination signals to the program and reaps orphans.
//
// If PROGRAM ends by itself, the container ends with the same exit code. If a program in /live ends,
// the container waits for the next one, which may arrive within seconds. The kubelet would restart
// the container with increasing delays. A restarted container starts with PROGRAM, even if /live is
// a volume that still exists: Tilt expects that, and sends the newer program again.
//
// Called as tar, it unpacks the files that Tilt sends to the container, which has no tar.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	liveDir   = "/live" // directory of newer programs
	stopLimit = 10 * time.Second
)

func main() { os.Exit(run(os.Args, os.Stdin, os.Stderr)) }

// run returns the exit code: 2 for an invalid command line and, like tar, for an archive that cannot
// be unpacked.
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
		return fail(errors.New("missing arguments: use supervise PROGRAM [ARG...] or supervise --restart"))
	case args[1] == "--restart":
		if err := syscall.Kill(1, restartSignal); err != nil {
			return fail(fmt.Errorf("signal process 1 to restart the program: %w", err))
		}
		return 0
	}
	code, err := (&supervisor{liveDir: liveDir, args: args[1:], stopLimit: stopLimit}).run()
	if err != nil {
		return fail(err)
	}
	return code
}
