// Package terminaltest gives tests a real terminal, because programs may write other output to
// a pipe. It does not know the programs.
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

// Capture returns everything that write writes to a new terminal.
func Capture(t *testing.T, write func(terminal *os.File)) string {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Close() }()
	terminal, err := openTerminal(screen)
	if err != nil {
		t.Fatal(err)
	}
	output := make(chan string)
	go func() {
		content, err := io.ReadAll(screen)
		if !errors.Is(err, syscall.EIO) { // EIO means that the last writer closed the terminal
			t.Errorf("read the terminal: %v", err)
		}
		output <- strings.ReplaceAll(string(content), "\r\n", "\n")
	}()
	write(terminal)
	if err := terminal.Close(); err != nil {
		t.Error(err)
	}
	return <-output
}

// openTerminal opens the side of a pseudo-terminal that programs use.
func openTerminal(screen *os.File) (*os.File, error) {
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("get the number of the terminal: %w", err)
	}
	return os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
}
