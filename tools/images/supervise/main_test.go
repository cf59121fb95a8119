package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain runs a supervisor, which becomes the parent of orphans, if a test started this binary as
// the first process of a container.
func TestMain(m *testing.M) {
	dir := os.Getenv(liveDirVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	s := supervisor{liveDir: dir, args: os.Args[1:], stopLimit: time.Millisecond}
	code, err := s.run()
	if err != nil {
		panic(err)
	}
	os.Exit(code)
}

// liveDirVariable is the environment variable with the directory of newer programs.
const liveDirVariable = "SUPERVISE_TEST_LIVE_DIR"

// container is a supervisor that runs the script app.
type container struct {
	t       *testing.T
	liveDir string
	cmd     *exec.Cmd
	output  *bufio.Scanner
}

// start runs the script of an image. If newer is not empty, liveDir has a newer one.
func start(t *testing.T, image, newer string) *container {
	t.Helper()
	c := &container{t: t, liveDir: t.TempDir()}
	if newer != "" {
		writeScript(t, c.liveDir, newer)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c.cmd = exec.CommandContext(ctx, os.Args[0], writeScript(t, t.TempDir(), image), "argument")
	c.cmd.Env = append(os.Environ(), liveDirVariable+"="+c.liveDir)
	stdin, err := c.cmd.StdinPipe() // it stays open until the program has ended
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = c.cmd.Stdout
	c.output = bufio.NewScanner(stdout)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// writeScript writes the script app.
func writeScript(t *testing.T, dir, script string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "app")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *container) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *container) expect(line string) {
	c.t.Helper()
	if !c.output.Scan() || c.output.Text() != line {
		c.t.Fatalf("the program printed %q (%v), want %q", c.output.Text(), c.output.Err(), line)
	}
}

func (c *container) expectExit(code int) {
	c.t.Helper()
	err := c.cmd.Wait()
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.t.Errorf("exit code %d (%v), want %d", got, err, code)
	}
}

func TestRestartRunsNewerProgram(t *testing.T) {
	for _, test := range []struct{ name, old string }{
		{"old program ends on SIGTERM", "echo old $1; exec cat"},
		{"old program ignores SIGTERM", "trap '' TERM; echo old $1; exec cat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, test.old, "")
			c.expect("old argument")
			writeScript(t, c.liveDir, "echo new $1; exec cat")
			c.signal(restartSignal)
			c.expect("new argument")
			c.signal(syscall.SIGTERM)
			c.expectExit(128 + int(syscall.SIGTERM))
		})
	}
}

func TestStartsWithProgramOfImage(t *testing.T) {
	// After a crash of the container, the volume still has the newer program.
	c := start(t, "echo image", "echo newer")
	c.expect("image")
	c.expectExit(0)
}

func TestEndsWithExitCodeOfProgram(t *testing.T) {
	for _, test := range []struct {
		name, script string
		code         int
	}{
		{"program fails", "exit 7", 7},
		{"program is killed", "kill -KILL $$", 128 + int(syscall.SIGKILL)},
	} {
		t.Run(test.name, func(t *testing.T) { start(t, test.script, "").expectExit(test.code) })
	}
}

func TestWaitsForNextProgramAfterCrash(t *testing.T) {
	c := start(t, "echo old; exec cat", "")
	c.expect("old")
	path := writeScript(t, c.liveDir, "exit 9")
	c.signal(restartSignal)
	c.expect("supervise: " + path + " ended with exit code 9: waiting for a newer program")
	writeScript(t, c.liveDir, "echo new; exec cat")
	c.signal(restartSignal)
	c.expect("new")
	writeScript(t, c.liveDir, "exit 8")
	c.signal(restartSignal)
	c.expect("supervise: " + path + " ended with exit code 8: waiting for a newer program")
	c.signal(syscall.SIGTERM)
	c.expectExit(8)
}

func TestReapsOrphans(t *testing.T) {
	c := start(t, `orphan=$(sh -c 'true >/dev/null & echo $!'); tries=0
while [ -e /proc/$orphan ] && [ $tries -lt 1000000 ]; do tries=$((tries+1)); done
[ -e /proc/$orphan ] || echo reaped`, "")
	c.expect("reaped")
	c.expectExit(0)
}

func TestRefusesInvalidCommandLines(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	for _, test := range []struct {
		args []string
		want string // start of the only line
	}{
		{[]string{"/supervise"}, "supervise: missing arguments: use supervise PROGRAM [ARG...] or supervise --restart"},
		{[]string{"/supervise", absent}, "supervise: run " + absent + ": "},
		{[]string{"/bin/tar", "-c", "."}, `tar: unsupported arguments "-c .": use -C DIRECTORY -x -f -`},
		{[]string{"/bin/tar", "-X", absent, "-x", "-f", "-"}, `tar: unsupported arguments "-X ` + absent + ` -x -f -": `},
		{[]string{"/bin/tar", "-C", absent, "-x", "-f", "-"}, "tar: open " + absent + ": "},
	} {
		var stderr strings.Builder
		code := run(test.args, strings.NewReader(""), &stderr)
		if got := stderr.String(); code != 2 || !strings.HasPrefix(got, test.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%q: exit code %d, %q; want 2 and one line that starts with %q", test.args, code, got, test.want)
		}
	}
}
