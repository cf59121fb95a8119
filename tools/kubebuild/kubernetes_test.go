package kubebuild

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const root = "../.."

func TestFind(t *testing.T) {
	minors := minors(t)
	known, newest, oldest := strings.Join(minors, ", "), minors[len(minors)-1], minors[0]
	tests := []struct {
		minor   string
		release string // how it begins; empty: an error
		err     string
	}{
		{"", "v" + newest + ".", ""},
		{newest, "v" + newest + ".", ""},
		{oldest, "v" + oldest + ".", ""},
		{"1.30", "", `unknown Kubernetes version "1.30": use ` + known},
		{"node", "", `unknown Kubernetes version "node": use ` + known},
		{"1.36.3", "", `unknown Kubernetes version "1.36.3": use ` + known},
		{"v1.36", "", `unknown Kubernetes version "v1.36": use ` + known},
		{"../1.36", "", `unknown Kubernetes version "../1.36": use ` + known},
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
	want := `K8S: unknown Kubernetes version "2.0": use ` + strings.Join(minors(t), ", ")
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func minors(t *testing.T) []string {
	t.Helper()
	all, err := Minors(root)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d minor versions: %v", len(all), err)
	}
	return all
}

// What a module pins is what can be built from it.
func TestProgramsArePinned(t *testing.T) {
	packages := map[string]map[string]string{"node": NodePackages}
	for _, minor := range minors(t) {
		packages[versionPrefix+minor] = Packages
	}
	for folder, packages := range packages {
		t.Run(folder, func(t *testing.T) {
			wanted, tools := map[string]bool{}, map[string]bool{}
			for _, pkg := range packages {
				wanted[pkg] = true
			}
			for _, tool := range pins(t, "pins/"+folder).Tool {
				tools[tool.Path] = true
			}
			if diff := cmp.Diff(wanted, tools); diff != "" {
				t.Errorf("the tools of %s/go.mod (-want +got):\n%s", folder, diff)
			}
		})
	}
}

// A package that several modules need is compiled once if all require the same version
// of its module.
func TestModulesShareVersions(t *testing.T) {
	minors := minors(t)
	newest := "pins/" + versionPrefix + minors[len(minors)-1]
	versions := map[string]string{}
	for _, require := range pins(t, newest).Require {
		versions[require.Mod.Path] = require.Mod.Version
	}
	for _, module := range []string{"pins/node", "images/coredns"} {
		shared := 0
		for _, require := range pins(t, module).Require {
			version, both := versions[require.Mod.Path]
			if !both {
				continue
			}
			shared++
			if version != require.Mod.Version {
				t.Errorf("%s: %s in %s/go.mod, %s in %s/go.mod", require.Mod.Path, require.Mod.Version, module, version, newest)
			}
		}
		if shared == 0 {
			t.Errorf("%s and %s share no module at all", module, newest)
		}
	}
}

// pins reads the go.mod of a folder below tools.
func pins(t *testing.T, folder string) *modfile.File {
	t.Helper()
	file := filepath.Join(root, "tools", folder, "go.mod")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modfile.Parse(file, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Versions and nodes have folders of their own, by what they are built from.
func TestFolders(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	seen := map[string]bool{}
	for _, minor := range minors(t) {
		v, err := Find(root, minor)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Open(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		seen[p.Dir] = strings.HasPrefix(filepath.Base(p.Dir), "v"+minor+".")
	}
	node, err := OpenNode(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	seen[node.Dir] = strings.HasPrefix(filepath.Base(node.Dir), "node-")
	coredns, err := OpenCoreDNS(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	seen[coredns.Dir] = strings.HasPrefix(filepath.Base(coredns.Dir), "coredns-")
	if len(seen) != len(minors(t))+2 {
		t.Errorf("some share a folder: %v", seen)
	}
	for dir, named := range seen {
		if !named {
			t.Errorf("%s has the name of another version", dir)
		}
	}
}

func TestBuild(t *testing.T) {
	p := hello(t, "func main() { println(\"hello\") }")
	var shown strings.Builder
	for range 2 { // the second finds it
		if err := p.Build(t.Context(), progress.New(&shown), "greeter"); err != nil {
			t.Fatal(err)
		}
	}
	if count := strings.Count(shown.String(), "✓ build Kubernetes v9.9.0: greeter ("); count != 1 {
		t.Errorf("it was built %d times:\n%s", count, shown.String())
	}
	var said strings.Builder
	program := subprocess.Command{Args: []string{p.Path("greeter")}, Progress: &said}
	if err := program.Run(t.Context()); err != nil || said.String() != "hello\n" {
		t.Errorf("the program said %q, %v", said.String(), err)
	}
}

// A failed build names the cache, and has the compiler's words.
func TestBuildFails(t *testing.T) {
	p := hello(t, "func main() { undefined() }")
	err := p.Build(t.Context(), progress.New(io.Discard), "greeter")
	var said strings.Builder
	subprocess.Print(&said, "tool", err)
	for _, want := range []string{
		"tool: build greeter of Kubernetes v9.9.0 into the cache " + p.Dir,
		"  | hello/main.go:3:15: undefined: undefined\n",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, said.String())
		}
	}
}

// hello is the one program, greeter, of a module of pins, in a cache of its own.
func hello(t *testing.T, program string) *Programs {
	t.Helper()
	t.Setenv("GOCACHE", goCache(t)) // before the cache folder moves
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":        "module example.com/pins\n",
		"go.sum":        "",
		"hello/main.go": "package main\n\n" + program + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Open(t.Context(), Version{Minor: "9.9", Release: "v9.9.0", pins: dir})
	if err != nil {
		t.Fatal(err)
	}
	p.packages = map[string]string{"greeter": "./hello"}
	return p
}

// goCache is where the Go toolchain keeps what it compiled.
func goCache(t *testing.T) string {
	t.Helper()
	dir, err := subprocess.Command{Args: []string{"go", "env", "GOCACHE"}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
