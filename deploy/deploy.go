// Package deploy is the installation as numbered manifests, in the order in
// which they are to be applied. They are the whole of it: nothing is rendered,
// and kubectl needs no help with them. The kustomization beside them is for those
// who keep their own changes apart from them.
package deploy

import (
	"embed"
	"io/fs"
)

// numbered leaves out what else is YAML here.
const numbered = "[0-9][0-9]-*.yaml"

//go:embed [0-9][0-9]-*.yaml
var manifests embed.FS

// File is one of the manifests.
type File struct {
	Name    string // as "01-namespace.yaml"
	Content string
}

// Files returns the manifests in the order of installation.
func Files() []File {
	files, err := Read(manifests)
	if err != nil {
		panic(err) // they are part of the program
	}
	return files
}

// Read returns the manifests of a folder in the order of installation: those of a
// working tree, which may have changed since the program was built.
func Read(folder fs.FS) (files []File, err error) {
	names, err := fs.Glob(folder, numbered) // sorted, so in the order of the numbers
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		files = append(files, File{name, string(content)})
	}
	return files, nil
}
