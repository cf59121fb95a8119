package check

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/report"
)

// stdinName is the path of standard input.
const stdinName = "-"

// extensions are those of the files that are read in a directory, as kubectl does.
var extensions = []string{".yaml", ".yml", ".json"}

// source is a file with manifests, or something that cannot be read.
type source struct {
	name      string
	isMissing bool            // there is no file
	problem   *report.Problem // nil: the file can be opened
	info      fs.FileInfo     // when it was opened; nil for standard input
}

func (s *source) isStdin() bool { return s.name == stdinName }

// open opens the file. The end of ctx ends the reading of standard input, which can take forever.
func (s *source) open(ctx context.Context, stdin io.Reader) (io.ReadCloser, error) {
	if s.isStdin() {
		r, w := io.Pipe()
		go func() {
			_, err := io.Copy(w, stdin)
			w.CloseWithError(err)
		}()
		context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
		return r, nil
	}
	file, err := os.Open(s.name)
	if err != nil {
		s.isMissing = true
		return nil, err
	}
	if s.info, err = file.Stat(); err != nil {
		_ = file.Close() // the first error matters
		return nil, err
	}
	return file, nil
}

// problemOf returns an error about the file as a problem.
func (s *source) problemOf(err error) *report.Problem {
	message := err.Error()
	if path := new(fs.PathError); errors.As(err, &path) { // without the name, which is the place
		message = "cannot " + path.Op + ": " + path.Err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			message += ": check the path"
		} else if errors.Is(err, fs.ErrPermission) {
			message += ": check the permissions"
		}
	}
	return &report.Problem{Place: report.Place{File: s.name}, Message: message}
}

// walk calls visit for each file, in order, once. Names with the same key are the same file. A directory
// means the manifests in it and below it.
func walk(paths []string, keyOf func(name string) string, visit func(*source) error) error {
	seen := map[string]bool{}
	once := func(s *source) error {
		if key := keyOf(s.name); !seen[key] {
			seen[key] = true
			return visit(s)
		}
		return nil
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == stdinName || err == nil && !info.IsDir() {
			err = once(&source{name: path})
		} else if err == nil {
			err = walkDirectory(path, once)
		} else {
			s := &source{name: path, isMissing: true}
			s.problem = s.problemOf(err)
			err = once(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// realPath returns the absolute path of a file, behind links. It is the same for all names of a file, except
// hard links.
func realPath(name string) string {
	if name == stdinName {
		return name
	}
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		path = name
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// walkDirectory visits the manifests in a directory. It does not follow links to directories, which can be
// loops, and skips hidden directories such as .git.
func walkDirectory(root string, visit func(*source) error) error {
	found := false
	err := filepath.WalkDir(filepath.Clean(root)+string(filepath.Separator), func(path string, entry fs.DirEntry, err error) error {
		path = filepath.Clean(path)
		s := &source{name: path}
		switch {
		case err != nil:
			s.isMissing, s.problem, found = true, s.problemOf(err), true
			return visit(s)
		case entry.IsDir():
			if strings.HasPrefix(entry.Name(), ".") && path != filepath.Clean(root) {
				return fs.SkipDir
			}
			return nil
		case !slices.Contains(extensions, strings.ToLower(filepath.Ext(path))) || !isReadable(path, entry):
			return nil
		}
		found = true
		return visit(s)
	})
	if err == nil && !found {
		s := &source{name: root, isMissing: true}
		s.problem = s.problemOf(errors.New("no manifests: name a directory with files that end in " + strings.Join(extensions, ", ")))
		err = visit(s)
	}
	return err
}

// isReadable reports whether an entry of a directory is a file or a link to one, or a broken link, which is
// a problem. Reading anything else could take forever.
func isReadable(path string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular()
}
