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

// TestMain is the first process of a container where a test has started this file as
// one: orphans are given to it.
func TestMain(m *testing.M) {
	folder := os.Getenv("SUPERVISE_TEST_FOLDER")
	if folder == "" {
		os.Exit(m.Run())
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	s := supervisor{folder: folder, args: os.Args[1:], patience: time.Millisecond}
	code, err := s.run()
	if err != nil {
		panic(err)
	}
	os.Exit(code)
}

// container is a supervisor that runs the script app.
type container struct {
	t      *testing.T
	folder string // of newer programs
	cmd    *exec.Cmd
	said   *bufio.Scanner
}

// start runs the script of an image. A newer one may be there already.
func start(t *testing.T, image, newer string) *container {
	t.Helper()
	c := &container{t: t, folder: t.TempDir()}
	if newer != "" {
		write(t, c.folder, newer)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c.cmd = exec.CommandContext(ctx, os.Args[0], write(t, t.TempDir(), image), "argument")
	c.cmd.Env = append(os.Environ(), "SUPERVISE_TEST_FOLDER="+c.folder)
	stdin, err := c.cmd.StdinPipe() // open until the program has ended
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = c.cmd.Stdout
	c.said = bufio.NewScanner(stdout)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// write makes an executable called app.
func write(t *testing.T, folder, script string) (path string) {
	t.Helper()
	path = filepath.Join(folder, "app")
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
	if !c.said.Scan() || c.said.Text() != line {
		c.t.Fatalf("the program said %q (%v), want %q", c.said.Text(), c.said.Err(), line)
	}
}

func (c *container) expectExit(code int) {
	c.t.Helper()
	err := c.cmd.Wait()
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.t.Errorf("exit code %d (%v), want %d", got, err, code)
	}
}

func TestReplaced(t *testing.T) {
	for _, test := range []struct{ name, old string }{
		{"one that ends when it is told", "echo old $1; exec cat"},
		{"one that has to be killed", "trap '' TERM; echo old $1; exec cat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, test.old, "")
			c.expect("old argument")
			write(t, c.folder, "echo new $1; exec cat")
			c.signal(restart)
			c.expect("new argument")
			c.signal(syscall.SIGTERM)
			c.expectExit(128 + int(syscall.SIGTERM))
		})
	}
}

// As after a crash of the newer one: the volume is as it was.
func TestBeginsWithTheImages(t *testing.T) {
	c := start(t, "echo of the image", "echo newer")
	c.expect("of the image")
	c.expectExit(0)
}

func TestEndsWithTheProgram(t *testing.T) {
	for _, test := range []struct {
		name, script string
		code         int
	}{
		{"a program that fails", "exit 7", 7},
		{"a program that is killed", "kill -KILL $$", 128 + int(syscall.SIGKILL)},
	} {
		t.Run(test.name, func(t *testing.T) { start(t, test.script, "").expectExit(test.code) })
	}
}

// There may be a better one in a moment.
func TestWaitsForAnother(t *testing.T) {
	c := start(t, "echo old; exec cat", "")
	c.expect("old")
	path := write(t, c.folder, "exit 9")
	c.signal(restart)
	c.expect("supervise: " + path + " has ended with 9: waiting for another")
	write(t, c.folder, "echo new; exec cat")
	c.signal(restart)
	c.expect("new")
	write(t, c.folder, "exit 8")
	c.signal(restart)
	c.expect("supervise: " + path + " has ended with 8: waiting for another")
	c.signal(syscall.SIGTERM)
	c.expectExit(8)
}

// The script's child is an orphan when it ends, and a zombie until it is reaped.
func TestReapsOrphans(t *testing.T) {
	c := start(t, `orphan=$(sh -c 'true >/dev/null & echo $!'); tries=0
while [ -e /proc/$orphan ] && [ $tries -lt 1000000 ]; do tries=$((tries+1)); done
[ -e /proc/$orphan ] || echo reaped`, "")
	c.expect("reaped")
	c.expectExit(0)
}

func TestRunRefuses(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	for _, test := range []struct {
		args []string
		want string // what the only line begins with
	}{
		{[]string{"/supervise"}, "supervise: expected PROGRAM [ARG...], or --restart"},
		{[]string{"/supervise", absent}, "supervise: run " + absent + ": "},
		{[]string{"/bin/tar", "-c", "."}, `tar: "-c ." is not understood: only -C FOLDER -x -f - is`},
		{[]string{"/bin/tar", "-X", absent, "-x", "-f", "-"}, `tar: "-X ` + absent + ` -x -f -" is not understood: `},
		{[]string{"/bin/tar", "-C", absent, "-x", "-f", "-"}, "tar: open " + absent + ": "},
	} {
		var stderr strings.Builder
		code := run(test.args, strings.NewReader(""), &stderr)
		if got := stderr.String(); code != 2 || !strings.HasPrefix(got, test.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%q: exit code %d, %q; want 2 and a line that begins with %q", test.args, code, got, test.want)
		}
	}
}
