package kubernetes

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const root = "../.."

func TestFind(t *testing.T) {
	tests := []struct {
		minor   string
		release string // how it begins; empty: an error
		err     string
	}{
		{"", "v" + Newest + ".", ""},
		{"1.36", "v1.36.", ""},
		{"1.35", "v1.35.", ""},
		{"1.36.3", "", "no Kubernetes 1.36.3 is pinned here: write one of 1.35, 1.36, 1.37"},
		{"v1.36", "", "no Kubernetes v1.36 is pinned here: write one of 1.35, 1.36, 1.37"},
		{"../1.36", "", "no Kubernetes ../1.36 is pinned here: write one of 1.35, 1.36, 1.37"},
	}
	for _, tt := range tests {
		t.Run(tt.minor, func(t *testing.T) {
			v, err := Find(root, tt.minor)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !strings.HasPrefix(v.Release, tt.release) {
				t.Errorf("got %q, %v", v.Release, err)
			}
		})
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Setenv("K8S", "2.0")
	_, err := FromEnvironment(t.Context(), root)
	const want = "K8S: no Kubernetes 2.0 is pinned here: write one of 1.35, 1.36, 1.37"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What a module pins is what can be built from it: all programs from the newest,
// and from every other one those of the API server alone.
func TestProgramsArePinned(t *testing.T) {
	var all []string
	for _, pkg := range Packages {
		if pkg != "." {
			all = append(all, pkg)
		}
	}
	apiServer := []string{Packages["etcd"], Packages["kube-apiserver"], Packages["kubectl"]}
	for minor, want := range map[string][]string{Newest: all, "1.36": apiServer, "1.35": apiServer} {
		file := filepath.Join(minor, "go.mod")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pins, err := modfile.Parse(file, content, nil)
		if err != nil {
			t.Fatal(err)
		}
		tools := map[string]bool{}
		for _, tool := range pins.Tool {
			tools[tool.Path] = true
		}
		wanted := map[string]bool{}
		for _, pkg := range want {
			wanted[pkg] = true
		}
		if diff := cmp.Diff(wanted, tools); diff != "" {
			t.Errorf("the tools of %s (-want +got):\n%s", file, diff)
		}
	}
}

func TestBuild(t *testing.T) {
	t.Setenv("GOCACHE", goCache(t)) // before the cache folder moves
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	v, err := Find(root, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for range 2 { // the second finds it
		if err := p.Build(t.Context(), progress.New(&shown), "pause"); err != nil {
			t.Fatal(err)
		}
	}
	if count := strings.Count(shown.String(), "✓ build pause "+v.Release); count != 1 {
		t.Errorf("it was built %d times:\n%s", count, shown.String())
	}
	if said, err := (command.Command{Args: []string{p.Path("pause"), "-v"}}).Output(t.Context()); err != nil || said != "pause" {
		t.Errorf("the program said %q, %v", said, err)
	}
}

// A failed build names the cache, and has the compiler's words.
func TestBuildFails(t *testing.T) {
	t.Setenv("GOCACHE", goCache(t))
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	v := Version{Minor: "9.9", Release: "v9.9.0", pins: brokenPins(t)}
	p, err := Open(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Build(t.Context(), progress.New(io.Discard), "pause")
	var said strings.Builder
	command.Print(&said, "tool", err)
	for _, want := range []string{
		"tool: build pause of Kubernetes v9.9.0 into the cache " + filepath.Join(cache, "image-webhook", "kubernetes", "v9.9.0-"),
		"  | ./main.go:3:15: undefined: undefined\n",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, said.String())
		}
	}
}

// brokenPins is the folder of a module of pins whose pause does not compile.
func brokenPins(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"kubernetes/9.9/go.mod": "module example.com/pins\n",
		"kubernetes/9.9/go.sum": "",
		"pause/go.mod":          "module example.com/pause\n",
		"pause/main.go":         "package main\n\nfunc main() { undefined() }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "kubernetes", "9.9")
}

// goCache is where the Go toolchain keeps what it compiled.
func goCache(t *testing.T) string {
	t.Helper()
	dir, err := command.Command{Args: []string{"go", "env", "GOCACHE"}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
