package admissioncost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWritePageReplacesOnlyItsSection(t *testing.T) {
	const page = "# Performance\n\n<!-- begin apiserver: written by x -->\nold\n<!-- end apiserver -->\n\n<!-- begin kind: written by x -->\nold kind\n<!-- end kind -->\n"
	bare, kind := newResult(), newResult()
	kind.Bare = false
	for _, tt := range []struct {
		result   *Result
		replaced string
	}{{bare, "\nold\n"}, {kind, "\nold kind\n"}} {
		root := t.TempDir()
		path := filepath.Join(root, Page)
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := tt.result.WritePage(root); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(page, tt.replaced, "\n\n"+strings.TrimSpace(tt.result.Markdown())+"\n\n", 1)
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("page (-want +got):\n%s", diff)
		}
	}
}

func TestWritePageNamesMissingPage(t *testing.T) {
	root := t.TempDir()
	if err := newResult().WritePage(root); err == nil || !strings.Contains(err.Error(), filepath.Join(root, Page)) {
		t.Errorf("got error %v, want it to name the page", err)
	}
}
