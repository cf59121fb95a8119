// Package makefile tests that `make help` is complete and true.
package makefile

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const root = "../../.."

// run runs make, whatever this test was itself started by.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := subprocess.Command{
		Dir:  root,
		Args: append([]string{"env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "--no-print-directory"}, args...),
	}.Output(t.Context())
	if err != nil {
		subprocess.Print(os.Stderr, "make", err)
		t.FailNow()
	}
	return out
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// all returns what the first group of a pattern matches, sorted, each once.
func all(pattern, text string) (found []string) {
	for _, match := range regexp.MustCompile("(?m)"+pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Every target is listed, but for those that serve another one; and what is listed is
// one, which make can run.
func TestHelpListsTheTargets(t *testing.T) {
	makefile, help := read(t, "Makefile"), run(t, "help")
	var want []string
	for _, target := range all(`^\.PHONY: (\S+)$`, makefile) {
		switch {
		case len(all(`^(`+target+`):.*## \S`, makefile)) > 0:
			want = append(want, target)
		case len(all(`^([a-z0-9-]+):[^#\n]* `+target+`\b`, makefile)) == 0 && len(all(`\$\(MAKE\) [^\n]*\b(`+target+`)\b`, makefile)) == 0:
			t.Errorf("make %s serves no other target: write behind ## what it is for", target)
		}
	}
	listed := all(`^  make ([a-z0-9-]+) +\S`, help)
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("targets (-Makefile +help):\n%s", diff)
	}
	for _, target := range listed {
		run(t, "--dry-run", target, "CLUSTER=true", "CONTROLPLANE=true") // make runs what calls make, even so
	}
}

func TestHelpIsTheDefault(t *testing.T) {
	if diff := cmp.Diff(run(t, "help"), run(t)); diff != "" {
		t.Errorf("(-make help +make):\n%s", diff)
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	for line := range strings.Lines(run(t, "help")) {
		if width := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > 100 {
			t.Errorf("%d columns: %s", width, line)
		}
	}
}

// ofMake are the variables that make itself has.
var ofMake = []string{"MAKE", "MAKEFILE_LIST"}

// What a person can set is what help names: each variable does something, and there is
// no other.
func TestHelpListsTheVariables(t *testing.T) {
	makefile := read(t, "Makefile")
	listed := all(`^  ([A-Z0-9_]+)=\S+ +\S`, run(t, "help"))
	if len(listed) == 0 {
		t.Fatal("help lists no variable")
	}
	code := makefile + programs(t)
	for _, name := range listed {
		read := func(as string) bool { return strings.Contains(code, strings.ReplaceAll(as, "NAME", name)) }
		if !slices.ContainsFunc([]string{"$(NAME)", `"$$NAME"`, "${NAME", `Getenv("NAME")`, `LookupEnv("NAME")`}, read) {
			t.Errorf("%s=: nothing reads it", name)
		}
	}
	set := slices.Concat(listed, ofMake, all(`^([A-Z0-9_]+)\s*:?=`, makefile))
	for _, name := range all(`\$\(([A-Z0-9_]+)\)`, makefile) {
		if !slices.Contains(set, name) {
			t.Errorf("$(%s): help does not say what it is", name)
		}
	}
}

// programs is all code that the targets run.
func programs(t *testing.T) string {
	t.Helper()
	var code strings.Builder
	for _, dir := range []string{"tools", "e2e", "scripts"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !slices.Contains([]string{".go", ".sh"}, filepath.Ext(path)) {
				return err
			}
			content, err := os.ReadFile(path)
			code.Write(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return code.String()
}

// In the environment, KUBECONFIG may name a cluster that no test must touch.
func TestOnlyAnArgumentNamesAnotherCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", "/production")
	const flag = `--kubeconfig="$KUBECONFIG"`
	for _, target := range []string{"e2e", "e2e-debug"} {
		if recipe := run(t, "--dry-run", target); strings.Contains(recipe, "kubeconfig") {
			t.Errorf("make %s:\n%s", target, recipe)
		}
		if recipe := run(t, "--dry-run", target, "KUBECONFIG=/staging"); !strings.Contains(recipe, flag) {
			t.Errorf("make %s KUBECONFIG=/staging:\n%s", target, recipe)
		}
	}
}
