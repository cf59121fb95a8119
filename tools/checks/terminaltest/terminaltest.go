// Package terminaltest shows what a program writes to a terminal: to a test's pipe it may
// write something else.
package terminaltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Shown returns what do writes to a real terminal.
func Shown(t *testing.T, do func(terminal *os.File)) string {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Close() }()
	terminal, err := other(screen)
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan string)
	go func() {
		all, err := io.ReadAll(screen)
		if !errors.Is(err, syscall.EIO) { // which is how the last writer's leaving shows
			t.Errorf("read the terminal: %v", err)
		}
		shown <- strings.ReplaceAll(string(all), "\r\n", "\n")
	}()
	do(terminal)
	if err := terminal.Close(); err != nil {
		t.Error(err)
	}
	return <-shown
}

// other opens the side of a pseudo-terminal that programs write to.
func other(screen *os.File) (*os.File, error) {
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("number of the terminal: %w", err)
	}
	return os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
}
