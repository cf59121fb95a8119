package clitest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// imagePrograms are programs that run only inside images.
var imagePrograms = []string{"tools/images/flood", "tools/images/pause", "tools/images/sample", "tools/images/supervise"}

// commandLines are the packages that define the command line of a program, if it is not the
// program's own package.
var commandLines = map[string]string{"webhook/cmd/certgen": "webhook/certgen"}

func TestHelpOfEveryProgramIsTested(t *testing.T) {
	const root = "../../.."
	list, err := subprocess.Command{Dir: root, Args: []string{"go", "list", "-f", `{{if eq .Name "main"}}{{.Dir}}{{end}}`, "./..."}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range strings.Fields(list) {
		name, err := filepath.Rel(top, dir)
		if err != nil {
			t.Fatal(err)
		}
		if library, ok := commandLines[name]; ok {
			dir = filepath.Join(root, library)
		}
		if !slices.Contains(imagePrograms, name) && !callsExamples(t, dir) {
			t.Errorf("%s: no test calls clitest.Examples", name)
		}
	}
}

func callsExamples(t *testing.T, dir string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || strings.Contains(string(content), "clitest.Examples(t, ")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
