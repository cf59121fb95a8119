// Package deploy is the installation as numbered manifests, in the order in
// which they are to be applied. They are the whole of it: nothing is rendered,
// and kubectl needs no help with them.
package deploy

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml
var manifests embed.FS

// File is one of the manifests.
type File struct {
	Name    string // as "01-namespace.yaml"
	Content string
}

// Files returns the manifests in the order of installation.
func Files() []File {
	names, err := fs.Glob(manifests, "*.yaml") // sorted, so in the order of the numbers
	if err != nil {
		panic(err) // of a bad pattern, and this one is good
	}
	var files []File
	for _, name := range names {
		content, err := manifests.ReadFile(name)
		if err != nil {
			panic(err) // it is part of the program
		}
		files = append(files, File{name, string(content)})
	}
	return files
}
