// Package workflows checks the GitHub workflows for errors that actionlint cannot find:
// targets and scripts that do not exist, and actions that are not pinned. It does not run the
// workflows.
package workflows

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/gobuild"
)

const root = "../../.."

// readWorkflows returns the workflows and actions of this repository by path.
func readWorkflows(t *testing.T) map[string]string {
	t.Helper()
	workflows, err := filepath.Glob(root + "/.github/workflows/*.yaml")
	actions, err2 := filepath.Glob(root + "/.github/actions/*/action.yaml")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for _, file := range append(workflows, actions...) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		contents[file] = string(content)
	}
	if len(workflows) == 0 || len(actions) == 0 {
		t.Fatalf("found %d workflows and %d actions below %s", len(workflows), len(actions), root)
	}
	return contents
}

var (
	makeCall   = regexp.MustCompile(`\bmake ((?:[a-z0-9-]+ ?)+)`)
	scriptPath = regexp.MustCompile(`\bscripts/[a-z-]+\.sh\b`)
	usedAction = regexp.MustCompile(`(?m)^[ -]*uses: (.*)`)
	pinned     = regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
)

func TestWorkflowsRunExistingTargetsAndScripts(t *testing.T) {
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	for file, content := range readWorkflows(t) {
		for _, match := range makeCall.FindAllStringSubmatch(withoutComments(content), -1) {
			for _, name := range strings.Fields(match[1]) {
				ran = append(ran, name)
				if !regexp.MustCompile(`(?m)^` + name + `:`).Match(makefile) {
					t.Errorf("%s runs make %s: the target does not exist", file, name)
				}
			}
		}
		for _, name := range scriptPath.FindAllString(content, -1) {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("%s runs %s: the script does not exist", file, name)
			}
		}
	}
	for _, name := range []string{"verify", "test", "e2e", "node-image", "fuzz"} {
		if !slices.Contains(ran, name) {
			t.Errorf("no workflow runs make %s", name)
		}
	}
}

func withoutComments(content string) string {
	return regexp.MustCompile(`(?m)(^|\s)#.*$`).ReplaceAllString(content, "")
}

func TestActionsArePinnedToCommits(t *testing.T) {
	for file, content := range readWorkflows(t) {
		for _, match := range usedAction.FindAllStringSubmatch(content, -1) {
			if !strings.HasPrefix(match[1], "./") && !pinned.MatchString(match[1]) {
				t.Errorf("%s uses %s: use a commit, followed by the version in a comment such as # v1.2.3", file, match[1])
			}
		}
	}
}

// TestScriptsContainNoExpressions finds scripts that a branch name or an input could change.
func TestScriptsContainNoExpressions(t *testing.T) {
	scripts := 0
	for file, content := range readWorkflows(t) {
		var workflow any
		if err := yaml.Unmarshal([]byte(content), &workflow); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, script := range runs(workflow) {
			scripts++
			if strings.Contains(script, "${{") {
				t.Errorf("%s: use an environment variable instead of the expression in\n%s", file, script)
			}
		}
	}
	if scripts < 10 {
		t.Errorf("found only %d scripts: the check is broken", scripts)
	}
}

// runs returns the scripts of a workflow or an action.
func runs(value any) (scripts []string) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			scripts = append(scripts, runs(item)...)
		}
	case map[string]any:
		for key, item := range v {
			if script, ok := item.(string); ok && key == "run" {
				scripts = append(scripts, script)
			}
			scripts = append(scripts, runs(item)...)
		}
	}
	return scripts
}

func TestReleaseNotesPrintsOneVersion(t *testing.T) {
	for _, test := range []struct {
		version  string
		code     int
		want     string // text in the output
		unwanted string // text that must not be in the output
	}{
		{"Unreleased", 0, "### Added", "[Unreleased]"},
		{"v999.0.0", 1, `CHANGELOG.md has no entries under "## [999.0.0]": describe the changes there`, "###"},
	} {
		command := exec.CommandContext(t.Context(), root+"/scripts/release-notes.sh", test.version)
		printed, _ := command.CombinedOutput()
		if code := command.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%s: exit code %d, want %d", test.version, code, test.code)
		}
		if got := string(printed); !strings.Contains(got, test.want) || strings.Contains(got, test.unwanted) {
			t.Errorf("%s prints:\n%s", test.version, got)
		}
	}
}

// goreleaser is what the tests read of .goreleaser.yaml.
type goreleaser struct {
	Builds []struct {
		ID, Main, Binary                  string
		Goos, Goarch, Env, Flags, Ldflags []string
	}
	Krews []struct {
		Name string
		IDs  []string
	}
	Archives []struct {
		ID    string
		IDs   []string
		Files []string
	}
	Checksum, Release struct {
		Files []struct{ Glob string } `json:"extra_files"`
	}
}

func readGoReleaser(t *testing.T) (configuration goreleaser) {
	t.Helper()
	content, err := os.ReadFile(root + "/.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &configuration); err != nil {
		t.Fatal(err)
	}
	return configuration
}

func TestGoReleaserUsesFlagsOfImage(t *testing.T) {
	configuration := readGoReleaser(t)
	var got []string
	for _, b := range configuration.Builds {
		flags := append(b.Flags, "-ldflags="+strings.Join(b.Ldflags, " "))
		if diff := cmp.Diff(gobuild.VersionFlags("{{ .Tag }}"), flags); diff != "" {
			t.Errorf("%s: flags (-want +got):\n%s", b.ID, diff)
		}
		got = append(got, b.Main+" as /"+b.Binary+" for "+strings.Join(b.Goos, " ")+" with "+strings.Join(b.Env, " "))
	}
	want := []string{"./webhook/cmd/image-webhook as /image-webhook for linux with CGO_ENABLED=0", "./webhook/cmd/certgen as /certgen for linux with CGO_ENABLED=0",
		"./webhook/cmd/namespace-owner as /namespace-owner for linux with CGO_ENABLED=0",
		"./webhook/cmd/kubectl-image_webhook as /kubectl-image_webhook for linux darwin windows with CGO_ENABLED=0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReleaseHasFilesWithChecksums(t *testing.T) {
	configuration := readGoReleaser(t)
	// The manifest for krew has the checksums of the archives, so it is written after checksums.txt.
	want := append(configuration.Checksum.Files, struct{ Glob string }{"dist/krew/image-webhook.yaml"})
	if diff := cmp.Diff(want, configuration.Release.Files); diff != "" {
		t.Errorf("files of the release (-with checksums +got):\n%s", diff)
	}
}

func TestPluginIsReleasedForMachinesOfUsers(t *testing.T) {
	configuration := readGoReleaser(t)
	for _, b := range configuration.Builds {
		if b.ID != plugin {
			continue
		}
		if diff := cmp.Diff([]string{"linux", "darwin", "windows"}, b.Goos); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"amd64", "arm64"}, b.Goarch); diff != "" {
			t.Error(diff)
		}
	}
	if krew := configuration.Krews[0]; krew.Name != "image-webhook" || krew.IDs[0] != "plugin" {
		t.Errorf("krew installs %+v, want the archive of the plugin as image-webhook", krew)
	}
	for _, a := range configuration.Archives {
		// krew installs no archive without a license, and expects one program.
		if a.ID == "plugin" && (!slices.Contains(a.Files, "LICENSE") || len(a.IDs) != 1 || a.IDs[0] != plugin) {
			t.Errorf("the archive of the plugin has %v and %v", a.IDs, a.Files)
		}
	}
}
