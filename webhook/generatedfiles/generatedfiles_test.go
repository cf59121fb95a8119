package generatedfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const generator Generator = "kubectl image-webhook policy --test"

func TestGeneratorKnowsItsFiles(t *testing.T) {
	content := generator.Content("abc", "a: 1\n\nb: 2\n")
	if want := "# Written by kubectl image-webhook policy --test from version abc of a policy file.\n# Do not edit. Checksum of the lines below: "; !strings.HasPrefix(content, want) {
		t.Errorf("the file begins with %q, want %q", content[:len(want)], want)
	}
	for _, tt := range []struct {
		name, content string
		wrote, began  bool
	}{
		{"a generated file", content, true, true},
		{"from flags", generator.Content("", "a: 1\n"), true, true},
		{"without a body", generator.Content("", ""), true, true},
		{"a longer body", content + "c: 3\n", false, true},
		{"a shorter body", strings.TrimSuffix(content, "b: 2\n"), false, true},
		{"the head only", content[:strings.Index(content, "\n\n")], false, true},
		{"another generator", Generator("cp").Content("abc", "a: 1\n"), false, false},
		{"another file", "a: 1\n", false, false},
		{"an empty file", "", false, false},
	} {
		if wrote, began := generator.Wrote(tt.content), generator.Began(tt.content); wrote != tt.wrote || began != tt.began {
			t.Errorf("%s: wrote %t, began %t, want %t, %t", tt.name, wrote, began, tt.wrote, tt.began)
		}
	}
}

// content returns the contents of the files in a directory and below it.
func content(t *testing.T, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.Walk(directory, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, directory+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWriteReplacesFilesWithoutWritingIntoThem(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "new")
	if err := Write(directory, []File{{"a.yaml", "one"}, {"below/b.yaml", "one"}, {"below/c.yaml", "one"}}); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(filepath.Join(directory, "below", "b.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	before, err := os.Stat(filepath.Join(directory, "a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(directory, []File{{"a.yaml", "one"}, {"below/b.yaml", "two"}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a.yaml": "one", "below/b.yaml": "two", "below/c.yaml": "one"}
	if diff := cmp.Diff(want, content(t, directory)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if after, err := os.Stat(filepath.Join(directory, "a.yaml")); err != nil || !os.SameFile(before, after) {
		t.Errorf("the unchanged file was replaced: %v", err)
	}
	open := make([]byte, 10)
	if n, _ := reader.Read(open); string(open[:n]) != "one" {
		t.Errorf("a reader of the replaced file reads %q", open[:n])
	}
}

func TestFailedWriteLeavesNoFiles(t *testing.T) {
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "b.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := Write(directory, []File{{"b.yaml", "two"}, {"c.yaml", "two"}})
	if err == nil || !strings.HasPrefix(err.Error(), "write the files: rename ") || !strings.HasSuffix(err.Error(), "file exists: choose a directory to which you can write") {
		t.Errorf("got the error %v", err)
	}
	if diff := cmp.Diff(map[string]string{}, content(t, directory)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
