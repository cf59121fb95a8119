package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the folder of the repository.
const root = ".."

// page is what is looked at of a page in Markdown.
type page struct {
	path   string
	levels []string // the marks of the headings
	blocks []block
	inline []fragment
}

// block is a fenced block, without the indentation that it has in a list.
type block struct {
	line int
	info string // what stands behind the fence
	text string
}

// isCopied reports whether the block is to be copied, or shows what comes of that.
func (b block) isCopied() bool { return slices.Contains([]string{"sh", "console", "yaml"}, b.info) }

// fragment is code somewhere on a page.
type fragment struct {
	line int
	text string
}

var inlineCode = regexp.MustCompile("`([^`]+)`")

func readPage(t *testing.T, path string) page {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: path}
	prose := p.takeBlocks(strings.Split(string(content), "\n"))
	for _, at := range inlineCode.FindAllStringSubmatchIndex(prose, -1) {
		line := 1 + strings.Count(prose[:at[0]], "\n")
		p.inline = append(p.inline, fragment{line, strings.ReplaceAll(prose[at[2]:at[3]], "\n", " ")})
	}
	return p
}

// takeBlocks takes the headings and blocks out of the lines, and returns the rest on
// lines of the same numbers.
func (p *page) takeBlocks(lines []string) string {
	var open *block
	indent := ""
	for i, line := range lines {
		text := strings.TrimLeft(line, " ")
		info, isFence := strings.CutPrefix(text, "```")
		switch {
		case isFence && open != nil:
			p.blocks = append(p.blocks, *open)
			open = nil
		case isFence:
			open, indent = &block{line: i + 1, info: info}, line[:len(line)-len(text)]
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		default:
			if mark, _, ok := strings.Cut(line, " "); ok && mark != "" && strings.Trim(mark, "#") == "" {
				p.levels = append(p.levels, mark)
			}
			continue
		}
		lines[i] = ""
	}
	return strings.Join(lines, "\n")
}

// fragments are all code of a page that may name something: inline, and what is typed
// into a shell.
func (p page) fragments() []fragment {
	all := p.inline
	for _, b := range p.blocks {
		all = append(all, b.typed()...)
	}
	return all
}

// typed are the command lines of a block; what is continued is one with what goes on.
func (b block) typed() (typed []fragment) {
	begun := ""
	for i, line := range strings.Split(withoutComments(b.text), "\n") {
		isTyped := b.info == "sh"
		if b.info == "console" {
			line, isTyped = strings.CutPrefix(line, "$ ")
		}
		start, continued := strings.CutSuffix(line, `\`)
		switch {
		case !isTyped:
		case continued:
			begun += start
		default:
			typed = append(typed, fragment{b.line + 1 + i, begun + line})
			begun = ""
		}
	}
	return typed
}

var comment = regexp.MustCompile(`(?m)(^|[ \t]+)#.*$`)

// withoutComments is a script without comments, of as many lines.
func withoutComments(script string) string {
	return comment.ReplaceAllString(script, "")
}
