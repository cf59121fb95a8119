package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// root is the directory of the repository.
const root = ".."

// page is a page of the documentation.
type page struct {
	path string // from the root of the repository
	markdown.Document
}

func readPage(t *testing.T, path string) page {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return page{path, markdown.Parse(content)}
}

// levels returns the levels of the headings.
func (p page) levels() (levels []int) {
	for _, heading := range p.Headings {
		levels = append(levels, heading.Level)
	}
	return levels
}

// copied returns the blocks of a page that users copy, or compare with their terminal,
// without comments.
func (p page) copied() (blocks []string) {
	for _, b := range p.Blocks {
		if slices.Contains([]string{"sh", "console", "yaml"}, b.Info) {
			blocks = append(blocks, withoutComments(b.Text))
		}
	}
	return blocks
}

// commands returns the code of a page that may name something: inline code, and the command
// lines of blocks.
func (p page) commands() []markdown.Span {
	all := p.Code
	for _, b := range p.Blocks {
		all = append(all, commandLines(b)...)
	}
	return all
}

// commandLines returns the command lines of a block; a continued line is one with the next.
func commandLines(b markdown.Block) (commands []markdown.Span) {
	begun := ""
	for i, line := range strings.Split(withoutComments(b.Text), "\n") {
		isCommand := b.Info == "sh"
		if b.Info == "console" {
			line, isCommand = strings.CutPrefix(line, "$ ")
		}
		start, continued := strings.CutSuffix(line, `\`)
		switch {
		case !isCommand:
		case continued:
			begun += start
		default:
			commands = append(commands, markdown.Span{Text: begun + line, Line: b.Line + 1 + i})
			begun = ""
		}
	}
	return commands
}

var comment = regexp.MustCompile(`(?m)(^|[ \t]+)#.*$`)

// withoutComments returns a script without comments, with the same number of lines.
func withoutComments(script string) string {
	return comment.ReplaceAllString(script, "")
}
