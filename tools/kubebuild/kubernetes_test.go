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

func TestFindKnowsOnlyPinnedVersions(t *testing.T) {
	minors := knownMinors(t)
	known, newest, oldest := strings.Join(minors, ", "), minors[len(minors)-1], minors[0]
	tests := []struct {
		minor   string
		release string // its prefix; empty: an error
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

func TestFromEnvironmentRejectsUnknownVersion(t *testing.T) {
	t.Setenv("K8S", "2.0")
	_, err := FromEnvironment(t.Context(), root)
	want := `K8S: unknown Kubernetes version "2.0": use ` + strings.Join(knownMinors(t), ", ")
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func knownMinors(t *testing.T) []string {
	t.Helper()
	all, err := Minors(root)
	if err != nil || len(all) == 0 {
		t.Fatalf("got %d minor versions: %v", len(all), err)
	}
	return all
}

func TestModulesPinExactlyTheirPrograms(t *testing.T) {
	packages := map[string]map[string]string{"node": NodePackages}
	for _, minor := range knownMinors(t) {
		packages[versionPrefix+minor] = Packages
	}
	for dir, packages := range packages {
		t.Run(dir, func(t *testing.T) {
			want, got := map[string]bool{}, map[string]bool{}
			for _, pkg := range packages {
				want[pkg] = true
			}
			for _, tool := range readPins(t, "pins/"+dir).Tool {
				got[tool.Path] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tools in %s/go.mod (-want +got):\n%s", dir, diff)
			}
		})
	}
}

// A package of several modules is compiled only once if all require the same version of it.
func TestModulesShareVersions(t *testing.T) {
	minors := knownMinors(t)
	newest := "pins/" + versionPrefix + minors[len(minors)-1]
	versions := map[string]string{}
	for _, require := range readPins(t, newest).Require {
		versions[require.Mod.Path] = require.Mod.Version
	}
	for _, module := range []string{"pins/node", "images/coredns"} {
		shared := 0
		for _, require := range readPins(t, module).Require {
			version, isShared := versions[require.Mod.Path]
			if !isShared {
				continue
			}
			shared++
			if version != require.Mod.Version {
				t.Errorf("%s has version %s in %s/go.mod, but %s in %s/go.mod", require.Mod.Path, require.Mod.Version, module, version, newest)
			}
		}
		if shared == 0 {
			t.Errorf("%s and %s share no module", module, newest)
		}
	}
}

// readPins reads the go.mod file of a directory in tools.
func readPins(t *testing.T, dir string) *modfile.File {
	t.Helper()
	file := filepath.Join(root, "tools", dir, "go.mod")
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

func TestProgramsHaveDirectoriesOfTheirOwn(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	hasName := map[string]bool{}
	for _, minor := range knownMinors(t) {
		v, err := Find(root, minor)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Open(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		hasName[p.Dir] = strings.HasPrefix(filepath.Base(p.Dir), "v"+minor+".")
	}
	node, err := OpenNode(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	hasName[node.Dir] = strings.HasPrefix(filepath.Base(node.Dir), "node-")
	coredns, err := OpenCoreDNS(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	hasName[coredns.Dir] = strings.HasPrefix(filepath.Base(coredns.Dir), "coredns-")
	if len(hasName) != len(knownMinors(t))+2 {
		t.Errorf("programs share a directory: %v", hasName)
	}
	for dir, ok := range hasName {
		if !ok {
			t.Errorf("directory %s has the name of other programs", dir)
		}
	}
}

func TestBuildCompilesOnce(t *testing.T) {
	p := greeter(t, "func main() { println(\"hello\") }")
	var shown strings.Builder
	for range 2 {
		if err := p.Build(t.Context(), progress.New(&shown), "greeter"); err != nil {
			t.Fatal(err)
		}
	}
	if count := strings.Count(shown.String(), "✓ build Kubernetes v9.9.0: greeter ("); count != 1 {
		t.Errorf("got %d builds:\n%s", count, shown.String())
	}
	var printed strings.Builder
	program := subprocess.Command{Args: []string{p.Path("greeter")}, Progress: &printed}
	if err := program.Run(t.Context()); err != nil || printed.String() != "hello\n" {
		t.Errorf("the program printed %q, %v", printed.String(), err)
	}
}

func TestFailedBuildShowsCacheAndCompilerMessages(t *testing.T) {
	p := greeter(t, "func main() { undefined() }")
	err := p.Build(t.Context(), progress.New(io.Discard), "greeter")
	var printed strings.Builder
	subprocess.Print(&printed, "tool", err)
	for _, want := range []string{
		"tool: build greeter of Kubernetes v9.9.0 in the cache " + p.Dir,
		"  | hello/main.go:3:15: undefined: undefined\n",
	} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, printed.String())
		}
	}
}

// greeter returns a version whose only program is greeter, with an empty cache.
func greeter(t *testing.T, program string) *Programs {
	t.Helper()
	t.Setenv("GOCACHE", goCache(t)) // read before XDG_CACHE_HOME changes it
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
	p, err := Open(t.Context(), Version{Minor: "9.9", Release: "v9.9.0", pinsDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	p.packages = map[string]string{"greeter": "./hello"}
	return p
}

// goCache returns the build cache of the Go toolchain.
func goCache(t *testing.T) string {
	t.Helper()
	dir, err := subprocess.Command{Args: []string{"go", "env", "GOCACHE"}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
