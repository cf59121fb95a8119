package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// generated are the directories that the Makefile's targets and git write. They have no
// pages.
var generated = []string{".git", "artifacts", "bin", "dist"}

// check returns a line for each dead link of the tree's Markdown files.
func check(tree fs.FS) (dead []string, err error) {
	documents, err := read(tree)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		for _, link := range documents[name].Links {
			if problem := follow(tree, documents, name, link.Destination); problem != "" {
				dead = append(dead, fmt.Sprintf("%s:%d: %s: %s", name, link.Line, link.Destination, problem))
			}
		}
	}
	return dead, nil
}

// read parses every Markdown file of the tree.
func read(tree fs.FS) (map[string]markdown.Document, error) {
	documents := map[string]markdown.Document{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(generated, name) {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		documents[name] = markdown.Parse(source)
		return err
	})
	if err == nil && len(documents) == 0 {
		err = errors.New("no Markdown file found: run it at the top of the checkout")
	}
	return documents, err
}

// follow returns the reason why a link of the file from is dead, or an empty string.
func follow(tree fs.FS, documents map[string]markdown.Document, from, link string) string {
	to, err := url.Parse(link)
	switch {
	case err != nil:
		return "invalid URL"
	case to.Scheme != "" || to.Host != "":
		return "" // another site
	}
	target := resolve(from, to.Path)
	if _, err := fs.Stat(tree, target); err != nil {
		return "no such file or directory"
	}
	if document, ok := documents[target]; ok && to.Fragment != "" && !hasAnchor(document, to.Fragment) {
		return "no such heading in " + target
	}
	return ""
}

func hasAnchor(document markdown.Document, anchor string) bool {
	return slices.ContainsFunc(document.Headings, func(h markdown.Heading) bool { return h.Anchor == anchor })
}

// resolve returns the path of a link as a name in the tree. A path that begins with a slash
// begins at the top; an empty path means the file itself.
func resolve(from, to string) string {
	switch {
	case to == "":
		return from
	case strings.HasPrefix(to, "/"):
		return path.Join(".", to)
	}
	return path.Join(path.Dir(from), to)
}
