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
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Module says where and how to compile. Arch and Flags may be left out.
type Module struct {
	Dir   string   // a folder of the module that pins the programs
	Arch  string   // GOARCH; empty: this machine's
	Flags []string // of `go build`; nil: Small
}

// Program says what to compile.
type Program struct {
	Package string // as `go build` takes it
	Output  string // the file to write
}

// Small leaves out what only a debugger needs.
var Small = Flags("", "")

// Flags are those of Small, with build tags and more flags of the linker. The compiler
// describes nothing to a debugger, as the linker would leave it out: that takes an
// eighth of its time. What is compiled with the same tags is compiled once.
func Flags(tags, ldflags string) []string {
	return []string{
		"-trimpath", "-buildvcs=false", "-tags=" + tags,
		"-gcflags=all=-dwarf=false", "-ldflags=-s -w -buildid= " + ldflags,
	}
}

// Versioned is Small, and has the linker set the variable version of package main, if
// there is one.
func Versioned(version string) []string { return Flags("", "-X main.version="+version) }

// Build compiles a program. The file is written under another name first, so that one
// called p.Output is always whole; two builds must not write the same one at once.
// How many packages were compiled is shown as the detail of step.
func Build(ctx context.Context, m Module, p Program, step *progress.Step) error {
	if err := compile(ctx, m, p.Output+".new", step, p.Package); err != nil {
		return err
	}
	return os.Rename(p.Output+".new", p.Output)
}

// BuildAll is Build of several programs, which are written into one folder. It is faster
// than one after the other: packages are loaded once, and one program is linked while the
// next is compiled. What comes first in programs is compiled first.
func BuildAll(ctx context.Context, m Module, programs []Program, step *progress.Step) (err error) {
	work := programs[0].Output + ".new"
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o755)); err != nil { // of a run that was killed
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	var packages []string
	for _, p := range programs {
		packages = append(packages, p.Package)
	}
	if err := compile(ctx, m, work+"/", step, packages...); err != nil {
		return err
	}
	for _, p := range programs {
		if err := os.Rename(filepath.Join(work, programName(p.Package)), p.Output); err != nil {
			return err
		}
	}
	return nil
}

// majorVersion is the last element of the path of a module from its second version on.
var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// programName is what `go build` calls the program of a package.
func programName(pkg string) string {
	if last := path.Base(pkg); !majorVersion.MatchString(last) {
		return last
	}
	return path.Base(path.Dir(pkg))
}

func compile(ctx context.Context, m Module, output string, step *progress.Step, packages ...string) error {
	if m.Arch == "" {
		m.Arch = runtime.GOARCH
	}
	if m.Flags == nil {
		m.Flags = Small
	}
	err := subprocess.Command{
		Args:     slices.Concat([]string{"go", "build", "-v", "-o", output}, m.Flags, packages),
		Dir:      m.Dir,
		Env:      []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + m.Arch},
		Progress: &compiled{step: step},
	}.Run(ctx)
	var failed *subprocess.Error
	if errors.As(err, &failed) {
		failed.Output = withoutPackages(failed.Output)
	}
	return err
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
