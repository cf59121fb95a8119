package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFixMirrors(t *testing.T) {
	files := map[string]string{
		// Comments, quotes, spaces and the order stay; so do images that are not mirrored.
		"a.yaml": "# head\n" + podManifest("nginx:1  ", "'redis:7'", `"busybox"`, "ghcr.io/x:1", "hub.example/library/nginx:1") + "# tail\n---\n" + podManifest("quay.io/team/app@sha256:"+strings.Repeat("0", 64)),
		"b.json": "{\n\t\"kind\": \"Pod\", \"apiVersion\": \"v1\",\n\t\"spec\": {\"containers\": [{\"image\": \"nginx:1\"}]}}",
		// An anchor is one value.
		"c.yaml": "apiVersion: v1\nkind: Pod\nx: &c {image: nginx:1}\nspec: {containers: [*c, *c]}\n",
		// A file with a problem stays unchanged.
		"d.yaml": podManifest("nginx:1") + "---\na: [\n",
		"e.yaml": podManifest("&a nginx:1"),
		"f.yaml": podManifest("quay.io/x:1"),
	}
	got, found := runIn(t, files, Options{FixMirrors: true}, ".")
	want := map[string]string{
		"a.yaml": "# head\n" + podManifest("hub.example/library/nginx:1  ", "'hub.example/library/redis:7'", `"hub.example/library/busybox"`, "ghcr.io/x:1", "hub.example/library/nginx:1") + "# tail\n---\n" + podManifest("hub.example/quay/team/app@sha256:"+strings.Repeat("0", 64)),
		"b.json": "{\n\t\"kind\": \"Pod\", \"apiVersion\": \"v1\",\n\t\"spec\": {\"containers\": [{\"image\": \"hub.example/library/nginx:1\"}]}}",
		"c.yaml": "apiVersion: v1\nkind: Pod\nx: &c {image: hub.example/library/nginx:1}\nspec: {containers: [*c, *c]}\n",
		"d.yaml": files["d.yaml"], "e.yaml": files["e.yaml"], "f.yaml": files["f.yaml"],
	}
	if diff := cmp.Diff(want, readAll(t)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	wantProblems := []string{
		"d.yaml#2:6:0 invalid YAML: did not find expected node content: check the quotes and the indentation near this line",
		"d.yaml#0:0:0 not fixed: the file has problems: solve them first",
		"e.yaml#1:4:39 cannot fix spec.containers[0].image: the image has an anchor, a tag or escapes, or more than one line: write it out on one line",
	}
	got.images = nil
	if diff := cmp.Diff(wantProblems, got.lines()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if found.Fixed != 7 || found.Problems != 3 {
		t.Errorf("fixed %d images with %d problems, want 7 and 3", found.Fixed, found.Problems)
	}
	info, err := os.Stat("a.yaml")
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, %v, want 0640", info.Mode(), err)
	}
}

// readAll returns the files in the working directory.
func readAll(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(content)
	}
	return files
}

func TestFixIsDoneAfterTheFirstRun(t *testing.T) {
	_, _ = runIn(t, map[string]string{"a.yaml": podManifest("nginx:1")}, Options{FixMirrors: true}, "a.yaml")
	before := readAll(t)
	var r recorder
	found, err := Run(t.Context(), []string{"."}, Options{Rules: testRules(t), FixMirrors: true}, &r)
	if err != nil || found.Fixed != 0 {
		t.Errorf("fixed %d images, %v, want none", found.Fixed, err)
	}
	if diff := cmp.Diff(before, readAll(t)); diff != "" {
		t.Errorf("files (-first +second):\n%s", diff)
	}
}

func TestFixDoesNotOverwriteAChange(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.yaml", podManifest("nginx:1"))
	file := &source{name: "a.yaml"}
	in, err := file.open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, "a.yaml", podManifest("nginx:1.26"))
	if err := rewrite(file, nil); err == nil || err.Error() != "it has changed in the meantime: run the command again" {
		t.Errorf("got %v", err)
	}
}

func TestFixInAReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can write everywhere")
	}
	t.Chdir(t.TempDir())
	write(t, "a.yaml", podManifest("nginx:1"))
	if err := os.Chmod(".", 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(".", 0o700) }) // so that it can be removed
	var r recorder
	if _, err := Run(t.Context(), []string{"a.yaml"}, Options{Rules: testRules(t), FixMirrors: true}, &r); err != nil {
		t.Fatal(err)
	}
	const want = "not fixed: cannot create a file in its directory: permission denied: check the directory"
	if len(r.problems) != 1 || r.problems[0].Message != want {
		t.Errorf("got %+v, want %s", r.problems, want)
	}
}

func TestFixKeepsLinks(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "real", podManifest("nginx:1"))
	if err := os.Symlink("real", "link.yaml"); err != nil {
		t.Fatal(err)
	}
	var r recorder
	if _, err := Run(t.Context(), []string{"link.yaml"}, Options{Rules: testRules(t), FixMirrors: true}, &r); err != nil {
		t.Fatal(err)
	}
	want := podManifest("hub.example/library/nginx:1")
	if diff := cmp.Diff(map[string]string{"real": want, "link.yaml": want}, readAll(t)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if target, err := os.Readlink("link.yaml"); err != nil || target != "real" {
		t.Errorf("the link is %q, %v", target, err)
	}
}

func TestFileAndItsLinkAreFixedOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.yaml", podManifest("nginx:1"))
	for _, name := range []string{"b.yaml", "c.yaml"} {
		if err := os.Symlink("a.yaml", name); err != nil {
			t.Fatal(err)
		}
	}
	absolute, err := filepath.Abs("a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	found, err := Run(t.Context(), []string{".", absolute, "c.yaml"}, Options{Rules: testRules(t), FixMirrors: true}, &r)
	if err != nil || found.Files != 1 || found.Fixed != 1 || found.Problems != 0 {
		t.Errorf("got %+v, %v, %+v, want one file", found.Summary, err, r.problems)
	}
}

func TestStandardInputIsNotFixed(t *testing.T) {
	got, _ := runIn(t, nil, Options{FixMirrors: true, Stdin: strings.NewReader(podManifest("nginx:1"))}, "-")
	want := []string{
		"-#1:4:39 pod/it spec.containers[0].image: nginx:1 -> hub.example/library/nginx:1",
		"-#0:0:0 not fixed: standard input cannot be rewritten: name files",
	}
	if diff := cmp.Diff(want, got.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
