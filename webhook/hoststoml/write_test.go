package hoststoml

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newFiles returns the files for rules.
func newFiles(t *testing.T, rules string) []File {
	t.Helper()
	files, err := Files(mirrors(t, rules), version)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// put writes a file below a directory.
func put(t *testing.T, directory, name, content string) {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree returns the contents of all files below a directory, and of empty directories.
func tree(t *testing.T, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, directory), "/")
		if entry.IsDir() {
			if children, err := os.ReadDir(path); err != nil || len(children) == 0 {
				found[name+"/"] = ""
			}
			return nil
		}
		content, err := os.ReadFile(path)
		found[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantTree(files []File, others map[string]string) map[string]string {
	want := map[string]string{}
	for name, content := range others {
		want[name] = content
	}
	for _, file := range files {
		want[file.Directory+"/hosts.toml"] = file.Content
	}
	return want
}

func TestWriteCreatesTheDirectory(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "a[b", "certs.d")
	files := newFiles(t, "*=m.example,quay.io:5000=")
	if err := Write(directory, files); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantTree(files, nil), tree(t, directory)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWriteReplacesTheFilesOfAnEarlierPolicyOnly(t *testing.T) {
	directory := t.TempDir()
	others := map[string]string{
		"ghcr.io/hosts.toml":      "server = \"https://ghcr.io\"\n",
		"quay.io_5000_/notes.txt": "kept",
		"gcr.io_5000_/notes.txt":  "kept too",
		"notes.txt":               "not a directory",
	}
	for name, content := range others {
		put(t, directory, name, content)
	}
	if err := Write(directory, newFiles(t, "quay.io:5000=m.example,gcr.io:5000=m.example,old.example:5000=m.example")); err != nil {
		t.Fatal(err)
	}
	files := newFiles(t, "quay.io:5000=n.example,new.example:5000=n.example")
	for range 2 {
		if err := Write(directory, files); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantTree(files, others), tree(t, directory)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
}

func TestWriteDoesNotTouchAnUnchangedFile(t *testing.T) {
	directory, files := t.TempDir(), newFiles(t, "quay.io:5000=m.example")
	modified := func() os.FileInfo {
		if err := Write(directory, files); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(directory, "quay.io_5000_", "hosts.toml"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if first, second := modified(), modified(); !os.SameFile(first, second) {
		t.Error("the second run has replaced the file")
	}
}

func TestWriteChangesNothingIfAFileWouldBeLost(t *testing.T) {
	const rules = "quay.io:5000=m.example,zz.example:5000=m.example"
	edited := newFiles(t, rules)[1].Content + "  ca = \"m.crt\"\n"
	for _, tt := range []struct {
		name string
		file string // besides quay.io_5000_ of an earlier policy
		have string
		want string // the error, in which DIR is the directory
	}{
		{"a file of another program", "zz.example_5000_/hosts.toml", "server = \"https://zz.example:5000\"\n",
			"write DIR/zz.example_5000_/hosts.toml: the file exists, and it is not as this command wrote it: write into an empty directory and merge the files, or remove it"},
		{"a generated file that was edited", "zz.example_5000_/hosts.toml", edited,
			"write DIR/zz.example_5000_/hosts.toml: the file exists, and it is not as this command wrote it: write into an empty directory and merge the files, or remove it"},
		{"an outdated file that was edited", "old.example_5000_/hosts.toml", edited,
			"write DIR/old.example_5000_/hosts.toml: the file exists, and it is not as this command wrote it: write into an empty directory and merge the files, or remove it"},
		{"certificates", "zz.example_5000_/ca.crt", "PEM",
			"write DIR/zz.example_5000_/hosts.toml: containerd ignores ca.crt beside it: write into an empty directory, and name the file in its hosts.toml"},
		{"the other spelling of the directory", "zz.example:5000/hosts.toml", "server = \"https://zz.example:5000\"\n",
			"write DIR/zz.example_5000_/hosts.toml: containerd ignores the directory zz.example:5000 beside zz.example_5000_: move its files, and remove it"},
		{"a file instead of a directory", "zz.example_5000_", "",
			"write into DIR/zz.example_5000_: it is not a directory: choose another directory"},
		{"a directory instead of a file", "zz.example_5000_/hosts.toml/x", "",
			"read the existing file: read DIR/zz.example_5000_/hosts.toml: is a directory: choose another directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			directory := t.TempDir()
			if err := Write(directory, newFiles(t, "quay.io:5000=old.example")); err != nil {
				t.Fatal(err)
			}
			put(t, directory, tt.file, tt.have)
			before := tree(t, directory)
			err := Write(directory, newFiles(t, rules))
			if want := strings.ReplaceAll(tt.want, "DIR", directory); err == nil || err.Error() != want {
				t.Errorf("got the error %v, want %s", err, want)
			}
			if diff := cmp.Diff(before, tree(t, directory)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
}

func TestWriteNamesAnUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, filepath.Dir(file), "file", "")
	for directory, want := range map[string]string{
		file:                         "write into " + file + ": it is not a directory: choose another directory",
		filepath.Join(file, "below"): "read the directory for the files: stat " + file + "/below: not a directory: choose another directory",
		"/proc/certs.d":              "write the files: mkdir /proc/certs.d: no such file or directory: choose a directory to which you can write",
	} {
		if err := Write(directory, newFiles(t, "quay.io=m.example")); err == nil || err.Error() != want {
			t.Errorf("%s: got the error %v, want %s", directory, err, want)
		}
	}
}
