package hoststoml

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if err := w.write(files); err != nil {
		return fmt.Errorf("write the files of containerd: %w: choose a directory to which you can write", err)
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
	if err := w.checkDirectory(""); err != nil {
		return err
	}
	for _, file := range files {
		if err := w.checkDirectory(file.Directory); err != nil {
			return err
		}
		if err := w.checkFile(file); err != nil {
			return err
		}
	}
	return nil
}

// checkDirectory returns an error if the path is not a directory. It may not exist.
func (w writer) checkDirectory(name string) error {
	info, err := os.Stat(w.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read the directory for the files of containerd: %w: choose another directory", err)
	case !info.IsDir():
		return fmt.Errorf("write into %s: it is not a directory: choose another directory", w.path(name))
	}
	return nil
}

// checkFile returns an error if a file exists that Write did not write, or if containerd would read
// other files than before.
func (w writer) checkFile(file File) error {
	path := w.path(file.Directory, fileName)
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.checkNeighbors(file.Directory)
	case err != nil:
		return fmt.Errorf("read the existing file: %w: choose another directory", err)
	case string(content) == file.Content || isGenerated(string(content)):
		return nil
	}
	return foreign(path)
}

func foreign(path string) error {
	return fmt.Errorf("write %s: the file exists, and it is not as this command wrote it: write into an empty directory and merge the files, or remove it", path)
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
		case isGenerated(string(content)):
			directories = append(directories, directory)
		case strings.HasPrefix(string(content), marker):
			return nil, foreign(w.path(directory, fileName))
		}
	}
	return directories, nil
}

// write writes all files into a new directory whose name is not that of a registry, and then moves
// them.
func (w writer) write(files []File) error {
	if err := os.MkdirAll(w.directory, 0o755); err != nil {
		return err
	}
	stage, err := os.MkdirTemp(w.directory, ".hosts-toml-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	for _, file := range files {
		if err := os.Mkdir(filepath.Join(stage, file.Directory), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(stage, file.Directory, fileName), []byte(file.Content), 0o644); err != nil {
			return err
		}
	}
	for _, file := range files {
		if err := w.move(stage, file); err != nil {
			return err
		}
	}
	return nil
}

// move moves a file to its place, with its directory if that does not exist: containerd does not use
// _default for a registry with an empty directory.
func (w writer) move(stage string, file File) error {
	target := w.path(file.Directory)
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(filepath.Join(stage, file.Directory), target)
	}
	path := filepath.Join(target, fileName)
	if existing, err := os.ReadFile(path); err == nil && string(existing) == file.Content {
		return nil
	}
	return os.Rename(filepath.Join(stage, file.Directory, fileName), path)
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
