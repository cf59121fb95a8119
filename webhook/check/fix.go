package check

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/image-webhook/image-webhook/webhook/manifest"
	"github.com/image-webhook/image-webhook/webhook/report"
)

// fix rewrites the file with the edits, and marks their images as fixed. It leaves a file with problems
// unchanged, because its images are not all known.
func (r *result) fix(file *source) {
	edits := r.edits()
	if len(edits) == 0 {
		return
	}
	err := errors.New("the file has problems: solve them first")
	if len(r.problems) == 0 {
		err = rewrite(file, edits)
	}
	if err != nil {
		r.problems = append(r.problems, report.Problem{Place: report.Place{File: file.name}, Message: fmt.Sprintf("not fixed: %v", err)})
		return
	}
	for i := range r.images {
		r.images[i].Fixed = r.images[i].edit != nil
	}
}

// edits returns the edits by their offsets. Several images can be the same value, by an anchor.
func (r *result) edits() (edits []manifest.Edit) {
	for _, image := range r.images {
		if image.edit != nil {
			edits = append(edits, *image.edit)
		}
	}
	slices.SortFunc(edits, func(a, b manifest.Edit) int { return cmp.Compare(a.Offset, b.Offset) })
	return slices.Compact(edits)
}

// rewrite replaces a file by one with the edits. An interrupted program leaves the old file.
func rewrite(file *source, edits []manifest.Edit) error {
	if file.isStdin() {
		return errors.New("standard input cannot be rewritten: name files")
	}
	path, err := filepath.EvalSymlinks(file.name)
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	if info, err := in.Stat(); err != nil || info.Size() != file.info.Size() || !info.ModTime().Equal(file.info.ModTime()) || !os.SameFile(info, file.info) {
		return errors.New("it has changed in the meantime: run the command again")
	}
	out, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if path := new(fs.PathError); errors.As(err, &path) {
		return fmt.Errorf("cannot create a file in its directory: %w: check the directory", path.Err)
	} else if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // fails after the rename
	if err := writeEdited(out, in, edits, file.info.Mode().Perm()); err != nil {
		return err
	}
	_ = in.Close() // Windows cannot replace an open file
	return os.Rename(out.Name(), path)
}

// writeEdited writes and closes the new file.
func writeEdited(out, in *os.File, edits []manifest.Edit, mode os.FileMode) error {
	buffered := bufio.NewWriter(out)
	return errors.Join(
		manifest.Apply(buffered, bufio.NewReader(in), edits),
		buffered.Flush(),
		out.Chmod(mode),
		out.Sync(),
		out.Close(),
	)
}
