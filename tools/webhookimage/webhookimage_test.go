package webhookimage

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// newCheckout writes a checkout whose programs do nothing, so that they compile quickly.
func newCheckout(t *testing.T, files map[string]string) string {
	t.Helper()
	t.Setenv("GOFLAGS", "")
	root := t.TempDir()
	contents := map[string]string{
		"go.mod":                              "module example.org/small\n\ngo 1.26\n",
		"webhook/cmd/image-webhook/main.go":   "package main\n\nfunc main() {}\n",
		"webhook/cmd/certgen/main.go":         "package main\n\nfunc main() { println() }\n",
		"webhook/cmd/namespace-owner/main.go": "package main\n\nfunc main() { println(2) }\n",
		"tools/images/supervise/main.go":      "package main\n\nfunc main() { println(1) }\n",
	}
	for path, content := range files {
		contents[path] = content
	}
	for path, content := range contents {
		file := filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func build(t *testing.T, o Options) Image {
	t.Helper()
	image, err := Build(t.Context(), o, progress.New(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}

func open(t *testing.T, path, ref string) v1.Image {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(path, &tag)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestBuildIsReproducible(t *testing.T) {
	// The checkouts are in different directories, so that a path in the image would differ.
	first := build(t, Options{Root: newCheckout(t, nil), Output: filepath.Join(t.TempDir(), "a.tar")})
	second := build(t, Options{Root: newCheckout(t, nil), Output: filepath.Join(t.TempDir(), "b.tar")})
	if digest(t, first.Path) != digest(t, second.Path) {
		t.Error("archives of the same sources differ")
	}
	if first.ContentRef != second.ContentRef {
		t.Errorf("references of the same sources differ: %s and %s", first.ContentRef, second.ContentRef)
	}
	changed := newCheckout(t, map[string]string{"webhook/cmd/image-webhook/main.go": "package main\n\nfunc main() { println(1) }\n"})
	third := build(t, Options{Root: changed, Output: filepath.Join(t.TempDir(), "c.tar")})
	if third.ContentRef == first.ContentRef {
		t.Error("different sources have the same content reference")
	}
}

func TestBuildWritesBothReferencesToOneImage(t *testing.T) {
	built := build(t, Options{Root: newCheckout(t, nil), Arch: "arm64", Output: filepath.Join(t.TempDir(), "new", "a.tar")})
	image := open(t, built.Path, StaticRef)
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	other, err := open(t, built.Path, built.ContentRef).ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if config != other || built.ContentRef != "image-webhook.dev/image-webhook:sha256-"+config.Hex[:12] {
		t.Errorf("%s has image %s, %s has image %s", built.StaticRef, config, built.ContentRef, other)
	}
	checkConfig(t, image)
	checkLayer(t, image, "certgen", "image-webhook", "namespace-owner")
	checkVersion(t, image, "")
	left, err := os.ReadDir(filepath.Dir(built.Path))
	if err != nil || len(left) != 1 {
		t.Errorf("files beside the archive: %v, %v", left, err)
	}
}

func TestBuildWritesVersionToProgramsAndLabel(t *testing.T) {
	root := newCheckout(t, map[string]string{"webhook/cmd/image-webhook/main.go": "package main\n\nvar version string\n\nfunc main() { println(version) }\n"})
	unversioned := build(t, Options{Root: root, Output: filepath.Join(t.TempDir(), "a.tar")})
	versioned := build(t, Options{Root: root, Output: filepath.Join(t.TempDir(), "b.tar"), Version: "v1.2.3-test"})
	const text = "v1.2.3-test"
	if contains(t, unversioned, text) || !contains(t, versioned, text) {
		t.Errorf("version in the versioned image: %t, want true; in the unversioned image: %t, want false", contains(t, versioned, text), contains(t, unversioned, text))
	}
	checkVersion(t, open(t, versioned.Path, StaticRef), text)
}

func checkVersion(t *testing.T, image v1.Image, want string) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Config.Labels["org.opencontainers.image.version"]; got != want {
		t.Errorf("version label is %q, want %q", got, want)
	}
}

// contains reports whether the layer contains a text.
func contains(t *testing.T, built Image, text string) bool {
	t.Helper()
	layers, err := open(t, built.Path, StaticRef).Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	bytes, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(bytes), text)
}

func TestSupervisedImageIsNotNamedAsInTheManifests(t *testing.T) {
	built := build(t, Options{Root: newCheckout(t, nil), Arch: "arm64", Supervised: true, Output: filepath.Join(t.TempDir(), "a.tar")})
	checkLayer(t, open(t, built.Path, built.ContentRef), "certgen", "image-webhook", "namespace-owner", "supervise", "bin/tar")
	static, err := name.NewTag(StaticRef)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tarball.ImageFromPath(built.Path, &static); err == nil || built.StaticRef == StaticRef {
		t.Errorf("the archive has the image %s", StaticRef)
	}
}

func checkConfig(t *testing.T, image v1.Image) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{file.OS, file.Architecture, file.Config.User, strings.Join(file.Config.Entrypoint, " ")}
	if diff := cmp.Diff([]string{"linux", "arm64", "65532:65532", "/certgen"}, got); diff != "" {
		t.Error(diff)
	}
}

// entry contains the properties of a file that could differ between machines.
type entry struct {
	Name  string
	Mode  int64
	IDs   [2]int
	Owner string
	Time  int64
}

func checkLayer(t *testing.T, image v1.Image, programs ...string) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var got []entry
	files := tar.NewReader(content)
	for header, err := files.Next(); err != io.EOF; header, err = files.Next() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry{header.Name, header.Mode, [2]int{header.Uid, header.Gid}, header.Uname, header.ModTime.Unix()})
	}
	var want []entry
	for _, program := range programs {
		want = append(want, entry{Name: program, Mode: 0o555})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuildErrorHasTheCompilersMessages(t *testing.T) {
	output := filepath.Join(t.TempDir(), "a.tar")
	root := newCheckout(t, map[string]string{"webhook/cmd/image-webhook/main.go": "package main\n\nfunc main() { undefinedThing() }\n"})
	_, err := Build(t.Context(), Options{Root: root, Arch: "amd64", Output: output}, progress.New(io.Discard))
	if err == nil || !strings.HasPrefix(err.Error(), "compile the webhook for linux/amd64: go build") {
		t.Errorf("got %v", err)
	}
	var failed *subprocess.Error
	if !errors.As(err, &failed) || !strings.Contains(failed.Output, "webhook/cmd/image-webhook/main.go:3:15: undefined: undefinedThing") {
		t.Errorf("the compiler's output is missing: %v", err)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("a failed build wrote an archive")
	}
}
