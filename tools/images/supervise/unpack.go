package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// unpackInto is what Tilt says to unpack what it sends, FOLDER being the root.
const unpackInto = "-C FOLDER -x -f -"

// runTar is called with tar's arguments, of which it knows one line only.
func runTar(args []string, stdin io.Reader) error {
	if len(args) != 5 || !slices.Equal(strings.Fields(unpackInto)[2:], args[2:]) || args[0] != "-C" {
		return fmt.Errorf("%q is not understood: only %s is", strings.Join(args, " "), unpackInto)
	}
	folder, err := os.OpenRoot(args[1])
	if err != nil {
		return err
	}
	defer folder.Close()
	return unpack(folder, tar.NewReader(stdin))
}

// unpack writes the files of an archive, and the folders that they lie in. A file is
// replaced in one step, so that a program that runs can be.
func unpack(folder *os.Root, archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := unpackOne(folder, header, archive); err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

func unpackOne(folder *os.Root, header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		return folder.MkdirAll(name, 0o755)
	case tar.TypeReg:
		if err := folder.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		return replace(folder, name, header.FileInfo().Mode().Perm(), content)
	}
	return fmt.Errorf("it is neither a file nor a folder, but of tar's type %q", header.Typeflag)
}

func replace(folder *os.Root, name string, mode os.FileMode, content io.Reader) error {
	file, err := folder.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err := errors.Join(err, file.Chmod(mode), file.Close()); err != nil {
		return err
	}
	return folder.Rename(name+".new", name)
}
