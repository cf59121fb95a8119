package gobuild

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// module writes a module with one program.
func module(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module example.com/hello\n\ngo 1.26\n", "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuild(t *testing.T) {
	dir := module(t, "package main\n\nfunc main() { println(\"hello\") }\n")
	output := filepath.Join(t.TempDir(), "hello")
	if err := Build(t.Context(), Program{Dir: dir, Package: ".", Output: output}, &progress.Step{}); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), output).CombinedOutput()
	if err != nil || string(said) != "hello\n" {
		t.Errorf("the program said %q, %v", said, err)
	}
	content, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), dir) {
		t.Errorf("the program names the folder %s it was built in", dir)
	}
}

func TestBuildShowsTheCompilersWordsAlone(t *testing.T) {
	dir := module(t, "package main\n\nimport _ \"errors\"\n\nfunc main() { undefined() }\n")
	output := filepath.Join(t.TempDir(), "hello")
	err := Build(t.Context(), Program{Dir: dir, Package: ".", Output: output}, &progress.Step{})
	var failed *command.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a failed command", err)
	}
	const want = "# example.com/hello\n./main.go:5:15: undefined: undefined\n"
	if failed.Output != want {
		t.Errorf("got %q, want %q", failed.Output, want)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("a program was left where the build failed")
	}
}
