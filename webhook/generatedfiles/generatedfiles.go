// Package generatedfiles writes generated files into a directory that another program reads while it runs.
//
//   - A file is replaced by renaming a complete one, whose name no reader searches for. So a reader never
//     sees an empty file or a part of one, also after a crash of the machine.
//   - A generated file begins with a comment that says what it is from, and has a checksum. So a file of
//     another program, or one that a user edited, can be recognized and is never replaced.
package generatedfiles

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Generator is the command that writes the files, such as "kubectl image-webhook policy --hosts-toml".
type Generator string

// checksumMark begins the second line of a generated file.
const checksumMark = "# Do not edit. Checksum of the lines below: "

func (g Generator) marker() string { return "# Written by " + string(g) + " from " }

// Content returns the content of a file with a head. The version of the policy is empty if the rules are
// from flags.
func (g Generator) Content(version, body string) string {
	source := "flags"
	if version != "" {
		source = "version " + version + " of a policy file"
	}
	return g.marker() + source + ".\n" + checksumMark + checksum(body) + "\n\n" + body
}

// Wrote reports whether content is a file of the generator, from any policy.
func (g Generator) Wrote(content string) bool {
	head, body, _ := strings.Cut(content, "\n\n")
	return strings.HasPrefix(head, g.marker()) && strings.HasSuffix(head, "\n"+checksumMark+checksum(body))
}

// Began reports whether content begins like a file of the generator, which may be edited.
func (g Generator) Began(content string) bool { return strings.HasPrefix(content, g.marker()) }

func checksum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])[:12]
}

// CheckFile returns whether a file exists, and an error if the generator did not write it.
func (g Generator) CheckFile(path string) (exists bool, err error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the existing file: %w: choose another directory", err)
	case !g.Wrote(string(content)):
		return true, Foreign(path)
	}
	return true, nil
}

// Foreign returns the error for a file that the generator did not write, or that was edited.
func Foreign(path string) error {
	return fmt.Errorf("write %s: the file exists, and it is not as this command wrote it: write into an empty directory and merge the files, or remove it", path)
}

// CheckDirectory returns an error if the path exists and is not a directory.
func CheckDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read the directory for the files: %w: choose another directory", err)
	case !info.IsDir():
		return fmt.Errorf("write into %s: it is not a directory: choose another directory", path)
	}
	return nil
}

// File is a file below a directory.
type File struct {
	Path    string // below the directory, with slashes
	Content string
}

// Write writes all files into a new directory below directory, which may not exist, and then moves each to
// its place, in their order. It does not touch a file that has the content already.
func Write(directory string, files []File) error {
	if err := write(directory, files); err != nil {
		return fmt.Errorf("write the files: %w: choose a directory to which you can write", err)
	}
	return nil
}

func write(directory string, files []File) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	stage, err := os.MkdirTemp(directory, ".generated-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	for _, file := range files {
		if err := writeSynced(filepath.Join(stage, filepath.FromSlash(file.Path)), file.Content); err != nil {
			return err
		}
	}
	for _, file := range files {
		if err := move(stage, directory, file); err != nil {
			return err
		}
	}
	return nil
}

// writeSynced writes a new file to the disk: after a crash, a renamed file could otherwise be empty.
func writeSynced(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// move moves a file to its place, with its directory if that does not exist: a reader never sees the new
// directory without its files.
func move(stage, directory string, file File) error {
	path := filepath.FromSlash(file.Path)
	target := filepath.Join(directory, path)
	if _, err := os.Stat(filepath.Dir(target)); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(filepath.Join(stage, filepath.Dir(path)), filepath.Dir(target))
	}
	if existing, err := os.ReadFile(target); err == nil && string(existing) == file.Content {
		return nil
	}
	return os.Rename(filepath.Join(stage, path), target)
}
