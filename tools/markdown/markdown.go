// Package markdown parses Markdown pages for the checks of this repository: Parse returns
// headings, links, fenced code blocks and inline code, and ignores HTML. The syntax is
// GitHub's. For generated pages, Table formats a table, and ReplaceSection replaces a part of a page.
package markdown

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Document is a parsed page. All lists are in the order of the page. The first line is 1.
type Document struct {
	Headings []Heading
	Links    []Link
	Blocks   []Block
	Code     []Span
}

// Heading is a heading. The highest level is 1.
type Heading struct {
	Level  int
	Anchor string // the fragment of GitHub's link to it
}

// Link is a link or an image.
type Link struct {
	Destination string
	Line        int
}

// Block is a fenced code block, without its indentation in a list.
type Block struct {
	Info string // the text after the fence, such as "sh"
	Text string
	Line int // line of the opening fence
}

// Span is inline code; a line break in it is a space.
type Span struct {
	Text string
	Line int
}

// Parse parses a page. It cannot fail, because every text is valid Markdown.
func Parse(source []byte) Document {
	r := reader{source: source, anchors: map[string]int{}}
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			r.read(node)
		}
		return ast.WalkContinue, nil
	})
	return r.Document
}

type reader struct {
	Document
	source  []byte
	anchors map[string]int // how often each anchor has been used
}

func (r *reader) read(node ast.Node) {
	switch n := node.(type) {
	case *ast.Heading:
		r.Headings = append(r.Headings, Heading{n.Level, r.uniqueAnchor(r.visibleText(n))})
	case *ast.Link:
		r.Links = append(r.Links, Link{string(n.Destination), r.lineOf(n, n.Destination)})
	case *ast.Image:
		r.Links = append(r.Links, Link{string(n.Destination), r.lineOf(n, n.Destination)})
	case *ast.FencedCodeBlock:
		r.readBlock(n)
	case *ast.CodeSpan:
		if first, ok := n.FirstChild().(*ast.Text); ok {
			r.Code = append(r.Code, Span{r.spanText(n), r.line(first.Segment.Start)})
		}
	}
}

func (r *reader) readBlock(n *ast.FencedCodeBlock) {
	block := Block{Text: string(n.Lines().Value(r.source))}
	switch {
	case n.Info != nil:
		block.Info = string(n.Info.Segment.Value(r.source))
		block.Line = r.line(n.Info.Segment.Start)
	case n.Lines().Len() > 0:
		block.Line = r.line(n.Lines().At(0).Start) - 1
	}
	r.Blocks = append(r.Blocks, block)
}

// spanText returns the text of inline code on one line.
func (r *reader) spanText(n *ast.CodeSpan) string {
	var code strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if t, ok := child.(*ast.Text); ok {
			code.Write(t.Value(r.source))
		}
	}
	return strings.ReplaceAll(code.String(), "\n", " ")
}

// visibleText returns the text of a node without its markup.
func (r *reader) visibleText(node ast.Node) string {
	var visible strings.Builder
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			visible.Write(t.Value(r.source))
		}
		return ast.WalkContinue, nil
	})
	return visible.String()
}

// uniqueAnchor returns the anchor of a heading, with a number if an earlier heading has the
// same.
func (r *reader) uniqueAnchor(heading string) string {
	anchor := anchor(heading)
	used := r.anchors[anchor]
	r.anchors[anchor]++
	if used == 0 {
		return anchor
	}
	return fmt.Sprintf("%s-%d", anchor, used)
}

// anchor returns a heading in lower case, without punctuation and with dashes for spaces, as
// GitHub does.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Pc):
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

// lineOf returns the line of a link's destination, or that of its block if the destination
// is in a link reference definition.
func (r *reader) lineOf(node ast.Node, destination []byte) int {
	block := node
	for block.Type() != ast.TypeBlock {
		block = block.Parent()
	}
	start := 0
	if block.Lines().Len() > 0 {
		start = block.Lines().At(0).Start
	}
	if i := bytes.Index(r.source[start:], destination); i > 0 {
		start += i
	}
	return r.line(start)
}

func (r *reader) line(offset int) int { return 1 + bytes.Count(r.source[:offset], []byte("\n")) }
