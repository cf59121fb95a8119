package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestHelpHasValidExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/cmd/links")
}

func TestRunReportsDeadLinks(t *testing.T) {
	tests := []struct {
		name   string
		readme string
		dead   bool
		want   string
	}{
		{"file", "[a](docs/a.md)", false, ""},
		{"directory", "[a](docs/)", false, ""},
		{"absolute path", "[a](/docs/a.md)", false, ""},
		{"escaped", "[a](docs/with%20space.md)", false, ""},
		{"own heading", "# Here\n[a](#here)", false, ""},
		{"second heading of a name", "# Here\n# Here\n[a](#here-1)", false, ""},
		{"heading of another file", "[a](docs/a.md#one)", false, ""},
		{"lines of a program", "[a](main.go#L7)", false, ""},
		{"another site", "[a](https://example.com/none#x) <mailto:a@example.com> [b](//example.com/none)", false, ""},
		{"in code", "`[a](none.md)`\n\n```sh\n[a](none.md)\n```", false, ""},
		{"missing file", "text\n\n[a\nb](none.md)", true, "README.md:4: none.md: no such file or directory\n"},
		{"missing image", "![a](none.png)", true, "README.md:1: none.png: no such file or directory\n"},
		{"in a table", "| a |\n| --- |\n| [a](none.md) |", true, "README.md:3: none.md: no such file or directory\n"},
		{"by reference", "[a][x]\n\n[x]: none.md", true, "README.md:3: none.md: no such file or directory\n"},
		{"missing heading here", "# Here\n[a](#there)", true, "README.md:2: #there: no such heading in README.md\n"},
		{"missing second heading", "# Here\n[a](#here-1)", true, "README.md:2: #here-1: no such heading in README.md\n"},
		{"missing heading of another file", "[a](docs/a.md#two)", true, "README.md:1: docs/a.md#two: no such heading in docs/a.md\n"},
		{"out of the checkout", "[a](../a.md)", true, "README.md:1: ../a.md: no such file or directory\n"},
		{"into a generated directory", "[a](bin/a.md)", false, ""},
		{"several", "[a](none.md)\n[b](none.md#x)", true, "README.md:1: none.md: no such file or directory\nREADME.md:2: none.md#x: no such file or directory\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstest.MapFS{
				"README.md":          {Data: []byte(test.readme)},
				"docs/a.md":          {Data: []byte("# One\n\n[back](../README.md)")},
				"docs/with space.md": {},
				"main.go":            {},
				"bin/a.md":           {Data: []byte("[a](not-checked.md)")},
			}
			var stdout strings.Builder
			if err := run(tree, &stdout); errors.Is(err, errDead) != test.dead || err != nil && !test.dead {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, stdout.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRunFailsWithoutMarkdownFiles(t *testing.T) {
	if err := run(fstest.MapFS{}, io.Discard); err == nil || !strings.Contains(err.Error(), "no Markdown file") {
		t.Errorf("got %v", err)
	}
}
