package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnpackReplacesRunningProgram(t *testing.T) {
	root := t.TempDir()
	for range 2 {
		if code := run([]string{"/bin/tar", "-C", root, "-x", "-f", "-"}, packProgram(t, "cat"), t.Output()); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		running := exec.CommandContext(t.Context(), filepath.Join(root, "live", "cat"))
		stdin, err := running.StdinPipe() // the program runs until it is closed
		if err != nil {
			t.Fatal(err)
		}
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
		defer running.Wait()
		defer stdin.Close()
	}
	files, err := os.ReadDir(filepath.Join(root, "live"))
	if err != nil || len(files) != 1 {
		t.Errorf("the directory has %v (%v), want only cat", files, err)
	}
}

// packProgram returns an archive of directory live with a program of this machine.
func packProgram(t *testing.T, program string) io.Reader {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := exec.CommandContext(t.Context(), "tar", "-C", filepath.Dir(path), "-c", "-h",
		"--transform=s,^,live/,", "-f", "-", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(archive)
}

func TestUnpackRefusesUnsafeEntries(t *testing.T) {
	for _, test := range []struct {
		name   string
		header tar.Header
		want   string
	}{
		{"file outside of the directory", tar.Header{Name: "live/../../app", Typeflag: tar.TypeReg}, "tar: unpack live/../../app: "},
		{"link", tar.Header{Name: "live/app", Linkname: "/certgen", Typeflag: tar.TypeSymlink}, "tar: unpack live/app: unsupported type '2': only files and directories are supported\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var archive bytes.Buffer
			if err := tar.NewWriter(&archive).WriteHeader(&test.header); err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			code := run([]string{"tar", "-C", t.TempDir(), "-x", "-f", "-"}, &archive, &stderr)
			if code != 2 || !strings.HasPrefix(stderr.String(), test.want) {
				t.Errorf("exit code %d, %q; want 2 and a line that starts with %q", code, stderr.String(), test.want)
			}
		})
	}
}

func TestUnpackKeepsModeDespiteUmask(t *testing.T) {
	root := t.TempDir()
	var archive bytes.Buffer
	if err := tar.NewWriter(&archive).WriteHeader(&tar.Header{Name: "deep/er/app", Mode: 0o777, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if code := run([]string{"tar", "-C", root, "-x", "-f", "-"}, &archive, t.Output()); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	info, err := os.Stat(filepath.Join(root, "deep/er/app"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(os.FileMode(0o777), info.Mode()); diff != "" {
		t.Error(diff)
	}
}
