package subprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// remedies are the remedies for failures that the machine causes. The first entry whose text is
// in the output applies.
var remedies = []struct{ text, remedy string }{
	{"no space left on device", "the disk is full: free a few gigabytes and try again"},
	{"disk quota exceeded", "the disk quota is used up: free a few gigabytes and try again"},
	{"address already in use", "a port is in use: stop the program that listens there (`ss -ltnp` shows it) and try again"},
	{"port is already allocated", "a port is in use: stop the program that listens there (`ss -ltnp` shows it) and try again"},
	{"permission denied", "this user lacks a permission: run it as root, or as a user who may start containers"},
	{"Operation not permitted", "this user or machine lacks a permission: run it as root, on a machine that allows privileged containers"},
	{"Temporary failure resolving", "the package registry is unreachable: check the network and the proxy settings"},
	{"no such host", "a host name cannot be resolved: check the network and the proxy settings"},
}

// Print writes err to w and returns the exit code. All tools print a failure in this form: one
// line with the cause and the remedy, if it is known, and then the indented output of the
// failed program.
func Print(w io.Writer, tool string, err error) int {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(w, "%s: interrupted: run the same command again to continue\n", tool)
		return 130 // like a shell after Ctrl-C
	}
	var output string
	if failed := (*Error)(nil); errors.As(err, &failed) {
		output = failed.Output
	}
	fmt.Fprintf(w, "%s: %v%s\n", tool, err, findRemedy(err.Error()+output))
	for line := range strings.Lines(strings.TrimSpace(output)) {
		fmt.Fprintf(w, "  | %s\n", strings.TrimRight(line, "\r\n"))
	}
	return 1
}

// findRemedy returns the remedy for an output, in the form of the end of a line, or an empty
// string.
func findRemedy(output string) string {
	for _, r := range remedies {
		if strings.Contains(output, r.text) {
			return ": " + r.remedy
		}
	}
	return ""
}
