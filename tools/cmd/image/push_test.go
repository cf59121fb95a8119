package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/image-webhook/image-webhook/tools/ociimage"
)

// push runs scripts/push-image.sh.
func push(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "../../../scripts/push-image.sh", args...)
	var out, err strings.Builder
	command.Stdout, command.Stderr = &out, &err
	if exit := command.Run(); exit != nil {
		err.WriteString(exit.Error())
	}
	return out.String(), err.String()
}

// writeArchive writes the archive of an image for an architecture.
func writeArchive(t *testing.T, dir, architecture string) string {
	t.Helper()
	image, err := ociimage.Image{
		Files: []ociimage.File{{Path: "/program", Source: "main.go"}},
		Arch:  architecture, Entrypoint: "/program", User: "65532:65532",
	}.Build(filepath.Join(dir, architecture+".layer"))
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "image-webhook-"+architecture+".tar")
	if err := ociimage.WriteArchive(archive, ociimage.Tagged{Image: image, Refs: []string{"example.org/image:dev"}}); err != nil {
		t.Fatal(err)
	}
	return archive
}

func TestPushImageWritesIndexOfArchives(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/team/image-webhook:v1.2.3"
	dir := t.TempDir()
	stdout, stderr := push(t, reference, writeArchive(t, dir, "amd64"), writeArchive(t, dir, "arm64"))

	index := pullIndex(t, reference)
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if want := reference + "@" + digest.String() + "\n"; stdout != want {
		t.Errorf("stdout %q, want %q; stderr %q", stdout, want, stderr)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Platform.String()+" has "+config.OS+"/"+config.Architecture+" for "+config.Config.User)
	}
	want := []string{"linux/amd64 has linux/amd64 for 65532:65532", "linux/arm64 has linux/arm64 for 65532:65532"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func pullIndex(t *testing.T, reference string) v1.ImageIndex {
	t.Helper()
	tag, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestPushImageRefusesInvalidArguments(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/image:v1"
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no archive", []string{reference}, "expected REFERENCE ARCHIVE..."},
		{"missing archive", []string{reference, "none.tar"}, "none.tar"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr := push(t, test.args...)
			if stdout != "" || !strings.Contains(stderr, test.want) || !strings.Contains(stderr, "exit status") {
				t.Errorf("stdout %q, stderr %q; want an error with %q", stdout, stderr, test.want)
			}
		})
	}
}
