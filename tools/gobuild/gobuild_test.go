package gobuild

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// newModule writes a module with one program.
func newModule(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module example.com/hello\n\ngo 1.26\n", "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuildOmitsPathsOfThisMachine(t *testing.T) {
	dir := newModule(t, "package main\n\nfunc main() { println(\"hello\") }\n")
	output := filepath.Join(t.TempDir(), "hello")
	if err := Build(t.Context(), Module{Dir: dir}, &progress.Step{}, Program{Package: "example.com/hello", Output: output}); err != nil {
		t.Fatal(err)
	}
	printed, err := exec.CommandContext(t.Context(), output).CombinedOutput()
	if err != nil || string(printed) != "hello\n" {
		t.Errorf("the program printed %q, %v", printed, err)
	}
	content, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), dir) {
		t.Errorf("the program contains the path of its module, %s", dir)
	}
}

func TestBuildErrorHasOnlyTheCompilersMessages(t *testing.T) {
	dir := newModule(t, "package main\n\nimport _ \"errors\"\n\nfunc main() { undefined() }\n")
	output := filepath.Join(t.TempDir(), "hello")
	err := Build(t.Context(), Module{Dir: dir}, &progress.Step{}, Program{Package: "example.com/hello", Output: output})
	var failed *subprocess.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a failed command", err)
	}
	const want = "# example.com/hello\n./main.go:5:15: undefined: undefined\n"
	if failed.Output != want {
		t.Errorf("got %q, want %q", failed.Output, want)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("a failed build wrote a program")
	}
}

func TestBuildLeavesNothingBesideTheOutputs(t *testing.T) {
	dir := newModule(t, "package main\n\nfunc main() { println(\"hello\") }\n")
	second := filepath.Join(dir, "second", "v2", "main.go")
	if err := os.MkdirAll(filepath.Dir(second), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(second, []byte("package main\n\nfunc main() { println(\"second\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output := t.TempDir()
	if err := os.Mkdir(filepath.Join(output, "one.new"), 0o755); err != nil { // left behind by a killed run
		t.Fatal(err)
	}
	programs := []Program{
		{Package: "example.com/hello", Output: filepath.Join(output, "one")},
		{Package: "./second/v2", Output: filepath.Join(output, "two")},
	}
	if err := Build(t.Context(), Module{Dir: dir}, &progress.Step{}, programs...); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	files, err := filepath.Glob(filepath.Join(output, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		printed, err := exec.CommandContext(t.Context(), file).CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(file)] = string(printed)
	}
	if diff := cmp.Diff(map[string]string{"one": "hello\n", "two": "second\n"}, got); diff != "" {
		t.Errorf("programs and their output (-want +got):\n%s", diff)
	}
}

func TestBuildRejectsPackagesWithoutAProgramName(t *testing.T) {
	dir := newModule(t, "package main\n\nfunc main() {}\n")
	for _, pkg := range []string{"", ".", "..", "/", "./...", "./v2"} {
		output := filepath.Join(t.TempDir(), "hello")
		err := Build(t.Context(), Module{Dir: dir}, &progress.Step{}, Program{Package: pkg, Output: output})
		want := `invalid package "` + pkg + `": its last element does not name a program: use its import path`
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if files, err := filepath.Glob(output + "*"); err != nil || len(files) > 0 {
			t.Errorf("package %q: files %v are left, %v", pkg, files, err)
		}
	}
}

func TestProgramNameIsThatOfGoBuild(t *testing.T) {
	for pkg, want := range map[string]string{
		"k8s.io/kubernetes/cmd/kubelet": "kubelet",
		"go.etcd.io/etcd/server/v3":     "server", // major version 2 or higher
		"./coredns":                     "coredns",
		"example.com/vault":             "vault",
	} {
		if got := programName(pkg); got != want {
			t.Errorf("programName(%s) = %s, want %s", pkg, got, want)
		}
	}
}

// TestScriptsUseTheDefaultFlags does not check .goreleaser.yaml: package workflows does.
func TestScriptsUseTheDefaultFlags(t *testing.T) {
	for file, form := range map[string]string{
		"../../scripts/compile.sh": `-trimpath -buildvcs=false -tags= -gcflags=all=-dwarf=false "-ldflags=-s -w -buildid= "`,
		"../../Tiltfile":           `-trimpath -buildvcs=false -tags= -gcflags=all=-dwarf=false "-ldflags=-s -w -buildid= "`,
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), form) {
			t.Errorf("%s does not compile with %s", file, form)
		}
		if diff := cmp.Diff(DefaultFlags, splitShell(form)); diff != "" {
			t.Errorf("flags of %s (-want +got):\n%s", file, diff)
		}
	}
}

// splitShell splits a command line without escapes, in which only the last word is quoted.
func splitShell(line string) []string {
	words, quoted, _ := strings.Cut(line, ` "`)
	return append(strings.Fields(words), strings.TrimSuffix(quoted, `"`))
}
