package ociimage

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const ref = "mirror.example/app:v1"

// writeArchive writes an archive in dir with one program of the given content and time.
func writeArchive(t *testing.T, dir, content string, modified time.Time) string {
	t.Helper()
	program, archive := filepath.Join(dir, "program"), filepath.Join(dir, "archive.tar")
	if err := os.WriteFile(program, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(program, modified, modified); err != nil {
		t.Fatal(err)
	}
	image, err := Image{
		Files:      []File{{Path: "/bin/app", Source: program}},
		Arch:       "arm64",
		Entrypoint: "/bin/app",
		User:       "65532:65532",
		Labels:     map[string]string{"b": "2", "a": "1"},
	}.Build(filepath.Join(dir, "layer.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteArchive(archive, Tagged{Image: image, Refs: []string{ref, "mirror.example/app:v2"}}); err != nil {
		t.Fatal(err)
	}
	return archive
}

func TestArchiveIsReproducible(t *testing.T) {
	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	now := time.Now()
	first := read(writeArchive(t, t.TempDir(), "program", now))
	second := read(writeArchive(t, t.TempDir(), "program", now.Add(-time.Hour)))
	if !bytes.Equal(first, second) {
		t.Error("archives of the same program differ")
	}
	if bytes.Equal(first, read(writeArchive(t, t.TempDir(), "another", now))) {
		t.Error("archives of different programs are equal")
	}
}

func TestArchiveContainsTheImage(t *testing.T) {
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(writeArchive(t, t.TempDir(), "program", time.Now()), &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{config.OS, config.Architecture, config.Config.User, config.Config.Entrypoint[0]}
	if diff := cmp.Diff([]string{"linux", "arm64", "65532:65532", "/bin/app"}, got); diff != "" {
		t.Errorf("configuration differs (-want +got):\n%s", diff)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers (%v), want 1", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	header, program := onlyFile(t, content)
	if header.Name != "bin/app" || header.Mode != 0o555 || header.Uid != 0 || !header.ModTime.Equal(time.Unix(0, 0)) {
		t.Errorf("unexpected file %+v", header)
	}
	if program != "program" {
		t.Errorf("the program is %q", program)
	}
}

func onlyFile(t *testing.T, archive io.Reader) (*tar.Header, string) {
	t.Helper()
	entries := tar.NewReader(archive)
	header, err := entries.Next()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(entries)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entries.Next(); err != io.EOF {
		t.Errorf("the layer has another entry after %s: %v", header.Name, err)
	}
	return header, string(content)
}

func TestConcurrentWritesLeaveACompleteArchive(t *testing.T) {
	dir := t.TempDir()
	want, err := os.ReadFile(writeArchive(t, dir, "program", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	image, err := Image{Files: []File{{Path: "/bin/app", Source: filepath.Join(dir, "program")}}}.Build(filepath.Join(dir, "layer.tar"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "shared.tar")
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			if err := WriteArchive(path, Tagged{Image: image, Refs: []string{ref}}); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	left, err := filepath.Glob(filepath.Join(dir, "*.new*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	if got, err := os.Stat(path); err != nil || got.Size() == 0 || len(want) == 0 {
		t.Errorf("the archive is missing: %v", err)
	}
}

func TestWriteArchiveRejectsAnInvalidReference(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "archive.tar")
	if err := WriteArchive(archive, Tagged{Refs: []string{"Not A Reference"}}); err == nil {
		t.Error("no error for a reference with spaces")
	}
	if _, err := os.Stat(archive); !os.IsNotExist(err) {
		t.Errorf("an archive exists: %v", err)
	}
}
