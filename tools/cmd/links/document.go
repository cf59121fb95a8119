package main

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

// document is what of a Markdown file links and is linked to.
type document struct {
	links   []link
	anchors []string
}

type link struct {
	to   string
	line int
}

func parse(source []byte) (d document) {
	taken := map[string]int{}
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.Heading:
			d.anchors = append(d.anchors, unique(anchor(words(n, source)), taken))
		case *ast.Link:
			d.links = append(d.links, link{string(n.Destination), line(n, n.Destination, source)})
		case *ast.Image:
			d.links = append(d.links, link{string(n.Destination), line(n, n.Destination, source)})
		}
		return ast.WalkContinue, nil
	})
	return d
}

// words is the text of a node as a reader sees it.
func words(node ast.Node, source []byte) string {
	var seen strings.Builder
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			seen.Write(t.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return seen.String()
}

// anchor is the name that GitHub gives a heading: in lower case, without
// punctuation, with dashes for spaces.
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

// unique numbers a name from its second use on.
func unique(name string, taken map[string]int) string {
	n := taken[name]
	taken[name]++
	if n == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, n)
}

// line is where the destination of a node stands, or where its block begins if it is
// written elsewhere, as that of a reference is.
func line(node ast.Node, destination, source []byte) int {
	block := node
	for block.Type() != ast.TypeBlock {
		block = block.Parent()
	}
	start := 0
	if block.Lines().Len() > 0 {
		start = block.Lines().At(0).Start
	}
	if at := bytes.Index(source[start:], destination); at > 0 {
		start += at
	}
	return 1 + bytes.Count(source[:start], []byte("\n"))
}
