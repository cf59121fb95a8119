// Package makefile tests that `make help` lists all targets and variables of the Makefile, and
// nothing else. It does not run the targets.
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

// runMake runs make, even if make runs this test.
func runMake(t *testing.T, args ...string) string {
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

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// findAll returns the matches of a pattern's first group, sorted and without duplicates.
func findAll(pattern, text string) (found []string) {
	for _, match := range regexp.MustCompile("(?m)"+pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestHelpListsEveryTarget(t *testing.T) {
	// Targets that only other targets use are not listed.
	makefile, help := readFile(t, "Makefile"), runMake(t, "help")
	var want []string
	for _, target := range findAll(`^\.PHONY: (\S+)$`, makefile) {
		switch {
		case len(findAll(`^(`+target+`):.*## \S`, makefile)) > 0:
			want = append(want, target)
		case len(findAll(`^([a-z0-9-]+):[^#\n]*[ ,]`+target+`\b`, makefile)) == 0 && len(findAll(`\$\(MAKE\) [^\n]*\b(`+target+`)\b`, makefile)) == 0:
			t.Errorf("make %s has no help text, and no other target uses it: add a text after ##", target)
		}
	}
	listed := findAll(`^  make ([a-z0-9-]+) +\S`, help)
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("targets (-Makefile +help):\n%s", diff)
	}
	for _, target := range listed {
		runMake(t, "--dry-run", target, "CLUSTER=true", "CONTROLPLANE=true") // make runs lines that call make even in a dry run
	}
}

func TestDemoWithoutEngineCompilesNoCluster(t *testing.T) {
	for engine, want := range map[string]bool{"none": false, "": true} {
		steps := runMake(t, "--dry-run", "--always-make", "demo", "ENGINE="+engine, "CLUSTER=true", "CONTROLPLANE=true")
		if got := strings.Contains(steps, "./tools/cmd/cluster"); got != want {
			t.Errorf("make demo ENGINE=%s compiles the program cluster: %v, want %v:\n%s", engine, got, want, steps)
		}
	}
}

func TestDefaultTargetIsHelp(t *testing.T) {
	if diff := cmp.Diff(runMake(t, "help"), runMake(t)); diff != "" {
		t.Errorf("(-make help +make):\n%s", diff)
	}
}

func TestHelpFitsTerminal(t *testing.T) {
	for line := range strings.Lines(runMake(t, "help")) {
		if width := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > 100 {
			t.Errorf("%d columns, more than 100: %s", width, line)
		}
	}
}

// builtin are the variables that make sets.
var builtin = []string{"MAKE", "MAKEFILE_LIST"}

func TestHelpListsEveryUsedVariable(t *testing.T) {
	makefile := readFile(t, "Makefile")
	listed := findAll(`^  ([A-Z0-9_]+)=\S+ +\S`, runMake(t, "help"))
	if len(listed) == 0 {
		t.Fatal("the help lists no variable")
	}
	code := makefile + readPrograms(t)
	for _, name := range listed {
		isRead := func(form string) bool { return strings.Contains(code, strings.ReplaceAll(form, "NAME", name)) }
		if !slices.ContainsFunc([]string{"$(NAME)", `"$$NAME"`, "${NAME", `Getenv("NAME")`, `LookupEnv("NAME")`}, isRead) {
			t.Errorf("%s=: nothing reads it", name)
		}
	}
	documented := slices.Concat(listed, builtin, findAll(`^([A-Z0-9_]+)\s*:?=`, makefile))
	for _, name := range findAll(`\$\(([A-Z0-9_]+)\)`, makefile) {
		if !slices.Contains(documented, name) {
			t.Errorf("$(%s) is not in the help", name)
		}
	}
}

// readPrograms returns the source of all programs that the targets run.
func readPrograms(t *testing.T) string {
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

func TestKubeconfigOfEnvironmentIsIgnored(t *testing.T) {
	// It may name a production cluster.
	t.Setenv("KUBECONFIG", "/production")
	const flag = `--kubeconfig="$KUBECONFIG"`
	for _, target := range []string{"e2e", "e2e-debug"} {
		if recipe := runMake(t, "--dry-run", target); strings.Contains(recipe, "kubeconfig") {
			t.Errorf("make %s uses the environment:\n%s", target, recipe)
		}
		if recipe := runMake(t, "--dry-run", target, "KUBECONFIG=/staging"); !strings.Contains(recipe, flag) {
			t.Errorf("make %s KUBECONFIG=/staging does not use it:\n%s", target, recipe)
		}
	}
}
