// Package wording checks that prose contains no unwanted words and phrases. Prose is the
// comments and strings of Go code, and the text of all other sources.
package wording

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// unwanted are the unwanted words and phrases, each with a better one.
var unwanted = compile([]struct{ pattern, instead string }{
	{`\banew\b`, "again"},
	{`\bwhoever\b`, "users who, or the user who"},
	{`\ba person\b`, "a user"},
	{`\bbut for\b`, "except"},
	{`\bamong (it|them)\b`, "including"},
	{`\b(is|are) no [a-z]`, "is not a, or invalid"},
	{`(^|[.:!?] )Of (which|what)\b`, "begin with the subject"},
	{`\bwhat [^.]{1,40} and what not\b`, "name both"},
	{`\bthe way of (a|an|the)\b`, "the life of, or the path of"},
	{`\blives? a year\b`, "is valid for one year"},
	{`\bhas to come\b`, "is expected"},
	{`\bbrings? (it|them) to\b`, "push to"},
	{`\b(take|takes|taken|took) up\b`, "reload, or use"},
	{`\b(take|takes|taken|took) over\b`, "use"},
	{`\b(look|looks|looked|looking) for\b`, "check, or search"},
	{`\bstands?\b`, "is, or appears"},
	{`\bby hand\b`, "manually"},
	{`\bsees? to it\b`, "ensures"},
	{`\bmakes? do\b`, "is sufficient"},
})

type unwantedWord struct {
	pattern *regexp.Regexp
	instead string
}

func compile(words []struct{ pattern, instead string }) (compiled []unwantedWord) {
	for _, word := range words {
		compiled = append(compiled, unwantedWord{regexp.MustCompile("(?i)" + word.pattern), word.instead})
	}
	return compiled
}

// allowed are phrases in which an unwanted word is correct.
var allowed = []string{
	"there is no ", "There is no ", "there are no ", "There are no ", // not "is no X"
	"is no longer", "are no longer",
	"takes up to ",
	" looking for beginning of value", // of encoding/json
}

// skipped are directories with files that the targets write or that other programs wrote.
var skipped = []string{".git", "artifacts", "bin", "dist", "testdata"}

func TestProseHasNoUnwantedWords(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(skipped, entry.Name()) {
			return fs.SkipDir
		}
		passages, err := read(path)
		for _, p := range passages {
			checked++
			for _, problem := range problems(p.text) {
				t.Errorf("%s:%d: %s", strings.TrimPrefix(path, root+"/"), p.line, problem)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 1000 {
		t.Errorf("only %d passages were checked: the check is broken", checked)
	}
}

func TestProblemsAreFound(t *testing.T) {
	for text, want := range map[string]int{
		"Certificates are valid for one year": 0,
		"There is no cluster here":            0,
		"It is no longer there":               0,
		"What is not sure is no secret":       1,
		"It is made anew by hand":             2,
		"standard output, stand-alone":        1,
	} {
		if got := problems(text); len(got) != want {
			t.Errorf("%q has %d problems, want %d: %q", text, len(got), want, got)
		}
	}
}

// problems returns one line for each unwanted word in a text.
func problems(text string) (found []string) {
	for _, phrase := range allowed {
		text = strings.ReplaceAll(text, phrase, " … ")
	}
	for _, word := range unwanted {
		for _, match := range word.pattern.FindAllString(text, -1) {
			found = append(found, fmt.Sprintf("%q: use %s: %s", match, word.instead, text))
		}
	}
	return found
}

// passage is a comment, a string or a paragraph, on one line.
type passage struct {
	line int
	text string
}

// read returns the prose of a file; none if it has no prose.
func read(path string) ([]passage, error) {
	name := filepath.Base(path)
	isText := slices.Contains([]string{".md", ".sh", ".yaml", ".yml"}, filepath.Ext(name)) ||
		slices.Contains([]string{"Makefile", "Tiltfile", "Dockerfile"}, name)
	switch {
	case filepath.Ext(name) == ".go" && filepath.Base(filepath.Dir(path)) != "wording":
		return readGo(path)
	case isText && name != "README.zh-CN.md":
		return readText(path)
	}
	return nil, nil
}

// readGo returns the comments and the string literals of a Go file.
func readGo(path string) (passages []passage, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	add := func(node ast.Node, text string) {
		passages = append(passages, passage{files.Position(node.Pos()).Line, oneLine(text)})
	}
	for _, comment := range file.Comments {
		add(comment, comment.Text())
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			add(literal, literal.Value)
		}
		return true
	})
	return passages, nil
}

// marks begin the lines of comments.
var marks = regexp.MustCompile(`(?m)^\s*#+ ?`)

// readText returns the paragraphs of a file.
func readText(path string) (passages []passage, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line := 1
	for paragraph := range strings.SplitSeq(string(content), "\n\n") {
		passages = append(passages, passage{line, oneLine(marks.ReplaceAllString(paragraph, ""))})
		line += strings.Count(paragraph, "\n") + 2
	}
	return passages, nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
