package subprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// remedies tells what to do about what programs say when the machine, not we,
// is the cause. The first that occurs in the output counts.
var remedies = []struct{ said, remedy string }{
	{"no space left on device", "the disk is full: free some gigabytes and run it again"},
	{"disk quota exceeded", "the disk quota is used up: free some gigabytes and run it again"},
	{"address already in use", "a port is in use: stop the program that listens there (`ss -ltnp` shows it) and run it again"},
	{"port is already allocated", "a port is in use: stop the program that listens there (`ss -ltnp` shows it) and run it again"},
	{"permission denied", "this user lacks the rights: run it as root, or as a user who may start containers"},
	{"Operation not permitted", "this user or machine lacks the rights: run it as root, where privileged containers are allowed"},
	{"Temporary failure resolving", "the package registry cannot be reached: check the network, or the proxy settings"},
	{"no such host", "a host cannot be found: check the network, or the proxy settings"},
}

// Print writes err as every tool here shows a failure, one line with the cause
// and, where it is known, the remedy, then the failed program's own output,
// indented; and returns the exit code.
func Print(w io.Writer, tool string, err error) int {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(w, "%s: interrupted; the same command goes on from here\n", tool)
		return 130 // as a shell reports a program that ended by Ctrl-C
	}
	var output string
	if failed := (*Error)(nil); errors.As(err, &failed) {
		output = failed.Output
	}
	fmt.Fprintf(w, "%s: %v%s\n", tool, err, remedy(err.Error()+output))
	for line := range strings.Lines(strings.TrimSpace(output)) {
		fmt.Fprintf(w, "  | %s\n", strings.TrimRight(line, "\r\n"))
	}
	return 1
}

func remedy(said string) string {
	for _, r := range remedies {
		if strings.Contains(said, r.said) {
			return ": " + r.remedy
		}
	}
	return ""
}
