package hoststoml

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
)

// Write writes the files into a directory, which may not exist, and removes the files that it wrote for
// an earlier policy. It returns an error before it changes anything if another file would be lost, or
// if containerd would ignore a file. containerd never sees a part of a file.
func Write(directory string, files []File) error {
	w := writer{directory}
	if err := w.check(files); err != nil {
		return err
	}
	outdated, err := w.outdated(files)
	if err != nil {
		return err
	}
	if err := generatedfiles.Write(directory, generated(files)); err != nil {
		return err
	}
	return w.remove(outdated)
}

// writer changes the files below a directory.
type writer struct{ directory string }

func (w writer) path(elements ...string) string {
	return filepath.Join(append([]string{w.directory}, elements...)...)
}

// check returns an error if one of the files must not be written.
func (w writer) check(files []File) error {
	if err := generatedfiles.CheckDirectory(w.directory); err != nil {
		return err
	}
	for _, file := range files {
		if err := generatedfiles.CheckDirectory(w.path(file.Directory)); err != nil {
			return err
		}
		if err := w.checkFile(file); err != nil {
			return err
		}
	}
	return nil
}

// checkFile returns an error if a file exists that Write did not write, or if containerd would read
// other files than before.
func (w writer) checkFile(file File) error {
	exists, err := generator.CheckFile(w.path(file.Directory, fileName))
	if exists || err != nil {
		return err
	}
	return w.checkNeighbors(file.Directory)
}

// checkNeighbors returns an error if a new file changes what containerd reads: it reads certificates in
// a directory only if there is no hosts.toml, and HOST:PORT only if there is no HOST_PORT_.
func (w writer) checkNeighbors(directory string) error {
	for _, name := range list(w.path(directory)) {
		if slices.Contains([]string{".crt", ".cert", ".key"}, filepath.Ext(name)) {
			return fmt.Errorf("write %s: containerd ignores %s beside it: write into an empty directory, and name the file in its hosts.toml",
				w.path(directory, fileName), name)
		}
	}
	if other := otherSpelling(directory); slices.Contains(list(w.directory), other) {
		return fmt.Errorf("write %s: containerd ignores the directory %s beside %s: move its files, and remove it",
			w.path(directory, fileName), other, directory)
	}
	return nil
}

// list returns the names in a directory. There are none if it does not exist.
func list(directory string) (names []string) {
	entries, _ := os.ReadDir(directory)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// otherSpelling returns HOST:PORT for the directory HOST_PORT_, and nothing for other directories.
func otherSpelling(directory string) string {
	host, port, _ := strings.Cut(strings.TrimSuffix(directory, "_"), "_")
	if host == "" || port == "" {
		return ""
	}
	return host + ":" + port
}

// outdated returns the directories with a file that Write wrote for an earlier policy.
func (w writer) outdated(files []File) (directories []string, err error) {
	for _, directory := range list(w.directory) {
		if slices.ContainsFunc(files, func(f File) bool { return f.Directory == directory }) {
			continue
		}
		content, _ := os.ReadFile(w.path(directory, fileName))
		switch {
		case generator.Wrote(string(content)):
			directories = append(directories, directory)
		case generator.Began(string(content)):
			return nil, generatedfiles.Foreign(w.path(directory, fileName))
		}
	}
	return directories, nil
}

// generated returns the files with their paths.
func generated(files []File) (list []generatedfiles.File) {
	for _, file := range files {
		list = append(list, generatedfiles.File{Path: file.Path(), Content: file.Content})
	}
	return list
}

// remove removes the files in directories, and the directories that are then empty.
func (w writer) remove(directories []string) error {
	for _, directory := range directories {
		if err := os.Remove(w.path(directory, fileName)); err != nil {
			return fmt.Errorf("remove the file of an earlier policy: %w: remove it", err)
		}
		_ = os.Remove(w.path(directory)) // fails if it has other files
	}
	return nil
}
