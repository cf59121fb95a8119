package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// progressPrefix starts the progress lines of `go test -fuzz`.
const progressPrefix = "fuzz: "

// deadline matches the output of `go test -fuzz`, without progress lines, that failed only because
// its own time limit ended the workers. This happens in about one of fifty runs up to Go 1.26, and
// is fixed in Go 1.27: go.dev/issue/75804.
var deadline = regexp.MustCompile(`^--- FAIL: \w+ \([0-9.]+s\)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\t\S+\t[0-9.]+s\n$`)

// explainFailure returns the failure of `go test -fuzz` without progress lines, or nil if it only
// reached its time limit.
func explainFailure(err error) error {
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

func withoutProgress(output string) string {
	var kept strings.Builder
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, progressPrefix) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// progressLine matches a progress line. Its groups are the number of inputs that ran and the number
// of inputs that reached new code.
var progressLine = regexp.MustCompile(`(?m)^` + progressPrefix + `elapsed: \S+, execs: (\d+) .*new interesting: (\d+)`)

// inputCounts returns the numbers in the last progress line as text.
func inputCounts(output string) string {
	lines := progressLine.FindAllStringSubmatch(output, -1)
	if len(lines) == 0 {
		return "only the known inputs"
	}
	last := lines[len(lines)-1]
	return last[1] + " inputs run, " + last[2] + " reached new code"
}
