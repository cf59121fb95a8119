package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
)

// unwritten are folders that hold nothing that was written for readers: what the
// targets of the Makefile make, and git's own.
var unwritten = []string{".git", "artifacts", "bin", "dist"}

// check returns a line for each dead link of the tree's Markdown files.
func check(tree fs.FS) (dead []string, err error) {
	documents, err := read(tree)
	if err != nil {
		return nil, err
	}
	for _, name := range sorted(documents) {
		for _, l := range documents[name].links {
			if why := follow(tree, documents, name, l.to); why != "" {
				dead = append(dead, fmt.Sprintf("%s:%d: %s: %s", name, l.line, l.to, why))
			}
		}
	}
	return dead, nil
}

// read parses every Markdown file of the tree.
func read(tree fs.FS) (map[string]document, error) {
	documents := map[string]document{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(unwritten, name) {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		documents[name] = parse(source)
		return err
	})
	if err == nil && len(documents) == 0 {
		err = errors.New("no Markdown file here: run it at the top of the checkout")
	}
	return documents, err
}

func sorted(documents map[string]document) (names []string) {
	for name := range documents {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// follow says why a link of the file from leads nowhere, or nothing.
func follow(tree fs.FS, documents map[string]document, from, link string) string {
	to, err := url.Parse(link)
	switch {
	case err != nil:
		return "is no URL"
	case to.Scheme != "" || to.Host != "":
		return "" // elsewhere
	}
	target := resolve(from, to.Path)
	if _, err := fs.Stat(tree, target); err != nil {
		return "no such file or folder"
	}
	if document, ok := documents[target]; ok && to.Fragment != "" && !slices.Contains(document.anchors, to.Fragment) {
		return "no such heading in " + target
	}
	return ""
}

// resolve returns what a path in a link means, as a name in the tree: what begins
// with a slash begins at the top, and no path means the file itself.
func resolve(from, to string) string {
	switch {
	case to == "":
		return from
	case strings.HasPrefix(to, "/"):
		return path.Join(".", to)
	}
	return path.Join(path.Dir(from), to)
}
