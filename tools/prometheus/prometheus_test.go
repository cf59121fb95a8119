package prometheus

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// fill writes empty files to the directory dir.
func fill(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuildReturnsProgramInTheCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, program := range []string{Server, Promtool} {
		want, err := cached(t.Context(), root, program)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, filepath.Dir(want), filepath.Base(want))
		got, err := Build(t.Context(), nil, root, program)
		if err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestBuildRefusesOtherPrograms(t *testing.T) {
	_, err := Build(t.Context(), nil, root, "alertmanager")
	const want = `unknown program "alertmanager": use prometheus or promtool`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRemoveOthersKeepsOtherPrograms(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, "prometheus-new", "prometheus-old", "promtool-old")
	if err := os.Mkdir(filepath.Join(dir, "prometheus-old.new"), 0o755); err != nil { // left behind by a killed build
		t.Fatal(err)
	}
	if err := removeOthers(filepath.Join(dir, "prometheus-new"), Server); err != nil {
		t.Fatal(err)
	}
	got, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "prometheus-new"), filepath.Join(dir, "promtool-old")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
