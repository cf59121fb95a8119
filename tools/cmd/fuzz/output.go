package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// progressPrefix starts the lines in which `go test -fuzz` says how far it is.
const progressPrefix = "fuzz: "

// deadline is all that `go test -fuzz` says, its progress aside, when its own
// time limit reaches its workers before it reaches itself: no input has failed,
// the time was up. It happens in about one run of fifty, up to Go 1.26.
// Source: go.dev/issue/75804, mended in Go 1.27.
var deadline = regexp.MustCompile(`^--- FAIL: \w+ \([0-9.]+s\)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\t\S+\t[0-9.]+s\n$`)

// verdict returns what is wrong with the target when `go test -fuzz` returned err:
// nothing, or err without the lines that tell progress.
func verdict(err error) error {
	failed, ok := errors.AsType[*subprocess.Error](err)
	if !ok {
		return err
	}
	failed.Output = withoutProgress(failed.Output)
	if deadline.MatchString(failed.Output) {
		return nil
	}
	return failed
}

// withoutProgress returns the lines of output that tell no progress.
func withoutProgress(output string) string {
	var kept strings.Builder
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, progressPrefix) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// executed finds the counts in a line of progress: all inputs run, and those that
// reached new code.
var executed = regexp.MustCompile(`(?m)^` + progressPrefix + `elapsed: \S+, execs: (\d+) .*new interesting: (\d+)`)

// reached says how many inputs the target was run with, by the last line of
// progress.
func reached(output string) string {
	lines := executed.FindAllStringSubmatch(output, -1)
	if len(lines) == 0 {
		return "only the known inputs"
	}
	last := lines[len(lines)-1]
	return last[1] + " inputs run, " + last[2] + " of them kept as new"
}
