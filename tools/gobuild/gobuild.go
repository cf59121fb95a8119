// Package gobuild compiles static programs for Linux nodes and images, with the
// Go toolchain that runs this module.
//
// With the flags of Small the same sources give the same bytes: no path of this
// machine, no build id and no state of git gets into a program.
package gobuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// Program says what to compile. Arch and Flags may be left out.
type Program struct {
	Dir     string   // a folder of the module that pins the program
	Package string   // as `go build` takes it
	Output  string   // the file to write
	Arch    string   // GOARCH; empty: this machine's
	Flags   []string // of `go build`; nil: Small
}

// Small leaves out what only a debugger needs.
var Small = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="}

// Versioned is Small, and has the linker set the variable version of package main, if
// there is one.
func Versioned(version string) []string {
	flags := slices.Clone(Small)
	flags[len(flags)-1] += " -X main.version=" + version
	return flags
}

// Build compiles p. The file is written under another name first, so that one
// called p.Output is always whole; two builds must not write the same one at once.
// How many packages were compiled is shown as the detail of step.
func Build(ctx context.Context, p Program, step *progress.Step) error {
	if p.Arch == "" {
		p.Arch = runtime.GOARCH
	}
	if p.Flags == nil {
		p.Flags = Small
	}
	args := append([]string{"go", "build", "-v", "-o", p.Output + ".new"}, p.Flags...)
	err := command.Command{
		Args:     append(args, p.Package),
		Dir:      p.Dir,
		Env:      []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + p.Arch},
		Progress: &compiled{step: step},
	}.Run(ctx)
	var failed *command.Error
	if errors.As(err, &failed) {
		failed.Output = withoutPackages(failed.Output)
	}
	if err != nil {
		return err
	}
	return os.Rename(p.Output+".new", p.Output)
}

// withoutPackages leaves the compiler's words of what `go build -v` printed: a
// line that is one word names a package that was compiled.
func withoutPackages(output string) string {
	var words strings.Builder
	for line := range strings.Lines(output) {
		if strings.ContainsAny(strings.TrimSpace(line), " \t") {
			words.WriteString(line)
		}
	}
	return words.String()
}

// compiled counts the packages that `go build -v` names as it compiles them.
type compiled struct {
	step  *progress.Step
	count int
}

func (c *compiled) Write(p []byte) (int, error) {
	c.count += bytes.Count(p, []byte("\n"))
	last := bytes.TrimSpace(p)
	last = last[bytes.LastIndexByte(last, '\n')+1:]
	c.step.SetDetail(fmt.Sprintf("%d packages, %s", c.count, last))
	return len(p), nil
}
