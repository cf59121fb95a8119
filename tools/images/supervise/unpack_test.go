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

// A program that runs cannot be written to, only replaced. The archive is of tar's own
// making; Tilt's has the file alone.
func TestUnpacksAProgramThatRuns(t *testing.T) {
	root := t.TempDir()
	for range 2 {
		if code := run([]string{"/bin/tar", "-C", root, "-x", "-f", "-"}, packed(t, "cat"), t.Output()); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		running := exec.CommandContext(t.Context(), filepath.Join(root, "live", "cat"))
		stdin, err := running.StdinPipe() // it runs until this is closed
		if err != nil {
			t.Fatal(err)
		}
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
		defer running.Wait()
		defer stdin.Close()
	}
	left, err := os.ReadDir(filepath.Join(root, "live"))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder has %v (%v), want cat alone", left, err)
	}
}

// packed is the folder live with a program of this machine in it.
func packed(t *testing.T, program string) io.Reader {
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

func TestUnpackRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		header tar.Header
		want   string
	}{
		{"what lies outside", tar.Header{Name: "live/../../app", Typeflag: tar.TypeReg}, "tar: unpack live/../../app: "},
		{"a link", tar.Header{Name: "live/app", Linkname: "/certgen", Typeflag: tar.TypeSymlink}, "tar: unpack live/app: it is neither a file nor a folder, but of tar's type '2'\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var archive bytes.Buffer
			if err := tar.NewWriter(&archive).WriteHeader(&test.header); err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			code := run([]string{"tar", "-C", t.TempDir(), "-x", "-f", "-"}, &archive, &stderr)
			if code != 2 || !strings.HasPrefix(stderr.String(), test.want) {
				t.Errorf("exit code %d, %q; want 2 and a line that begins with %q", code, stderr.String(), test.want)
			}
		})
	}
}

// The mode is that of the file, whatever the process masks.
func TestUnpackKeepsTheMode(t *testing.T) {
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
