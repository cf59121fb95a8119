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

	"github.com/google/renameio/v2"
)

// usage is the command line with which Tilt calls tar.
const usage = "-C DIRECTORY -x -f -"

// runTar unpacks an archive with the arguments of usage.
func runTar(args []string, stdin io.Reader) error {
	if len(args) != 5 || !slices.Equal(strings.Fields(usage)[2:], args[2:]) || args[0] != "-C" {
		return fmt.Errorf("unsupported arguments %q: use %s", strings.Join(args, " "), usage)
	}
	root, err := os.OpenRoot(args[1])
	if err != nil {
		return err
	}
	defer root.Close()
	return unpack(root, tar.NewReader(stdin))
}

// unpack writes the files of an archive and their directories. It replaces files atomically, because
// a running program cannot be overwritten.
func unpack(root *os.Root, archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := unpackOne(root, header, archive); err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

func unpackOne(root *os.Root, header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		return replaceFile(root, name, header.FileInfo().Mode().Perm(), content)
	}
	return fmt.Errorf("unsupported type %q: only files and directories are supported", header.Typeflag)
}

func replaceFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	file, err := renameio.NewPendingFile(name, renameio.WithRoot(root), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}
