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

// generated are the directories that git and the Makefile's targets write.
var generated = []string{".git", "artifacts", "bin", "dist"}

// check returns one line for each dead link in the Markdown files of the tree.
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

// read returns the parsed Markdown files of the tree by name.
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

// follow returns the reason why a link in a page is dead, or an empty string.
func follow(tree fs.FS, documents map[string]markdown.Document, page, link string) string {
	destination, err := url.Parse(link)
	switch {
	case err != nil:
		return "invalid URL"
	case destination.Scheme != "" || destination.Host != "":
		return "" // another site
	}
	target := resolve(page, destination.Path)
	if _, err := fs.Stat(tree, target); err != nil {
		return "no such file or directory"
	}
	if document, ok := documents[target]; ok && destination.Fragment != "" && !hasAnchor(document, destination.Fragment) {
		return "no such heading in " + target
	}
	return ""
}

func hasAnchor(document markdown.Document, anchor string) bool {
	return slices.ContainsFunc(document.Headings, func(h markdown.Heading) bool { return h.Anchor == anchor })
}

// resolve returns the name in the tree of a link in a page. A link that begins with a slash is
// relative to the top of the tree. An empty link means the page itself.
func resolve(page, link string) string {
	switch {
	case link == "":
		return page
	case strings.HasPrefix(link, "/"):
		return path.Join(".", link)
	}
	return path.Join(path.Dir(page), link)
}
