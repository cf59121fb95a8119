package workflows

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// plugin is the program that the hooks and the action run.
const plugin = "kubectl-image_webhook"

func TestPreCommitHooksRunThePlugin(t *testing.T) {
	content, err := os.ReadFile(root + "/.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var hooks []struct{ ID, Name, Language, Entry string }
	if err := yaml.UnmarshalStrict(withoutFields(t, content, "description", "types_or", "require_serial"), &hooks); err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		if hook.ID == "" || hook.Name == "" || hook.Language != "system" || !strings.HasPrefix(hook.Entry, plugin+" check") {
			t.Errorf("hook %+v does not run %s check", hook, plugin)
		}
	}
	if len(hooks) == 0 {
		t.Error("there are no hooks")
	}
}

// withoutFields returns a list of objects without fields.
func withoutFields(t *testing.T, content []byte, fields ...string) []byte {
	t.Helper()
	var objects []map[string]any
	if err := yaml.Unmarshal(content, &objects); err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		for _, field := range fields {
			delete(object, field)
		}
	}
	remaining, err := yaml.Marshal(objects)
	if err != nil {
		t.Fatal(err)
	}
	return remaining
}

// script is the program in the archives of these tests: it prints its arguments.
const script = "#!/bin/sh\nfor argument; do printf '<%s>\\n' \"$argument\"; done\nexit 1\n"

// release starts a server with a release for linux on amd64, and returns its URL.
func release(t *testing.T, version string, change func(archive []byte) []byte) string {
	t.Helper()
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	files := tar.NewWriter(compressed)
	if err := files.WriteHeader(&tar.Header{Name: plugin, Mode: 0o755, Size: int64(len(script))}); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Write([]byte(script)); err != nil {
		t.Fatal(err)
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	name := plugin + "_" + strings.TrimPrefix(version, "v") + "_linux_amd64.tar.gz"
	checksums := fmt.Sprintf("%064d  other.tar.gz\n%x  %s\n", 0, sha256.Sum256(archive.Bytes()), name)
	served := map[string][]byte{"checksums.txt": []byte(checksums), name: change(archive.Bytes())}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := served[strings.TrimPrefix(r.URL.Path, "/download/"+version+"/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content) // curl reports an incomplete file
	}))
	t.Cleanup(server.Close)
	return server.URL + "/download"
}

// runAction runs the script of the action in a directory as GitHub does, with changes to the inputs.
func runAction(t *testing.T, directory, releases string, inputs map[string]string) (output string, code int) {
	t.Helper()
	path, err := filepath.Abs(root + "/.github/actions/check/check.sh")
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{
		"ACTION_REF": "v1.2.3", "VERSION": "", "PATHS": ".", "CONFIG": "", "OUTPUT": "github", "REPORT": "", "ARGUMENTS": "",
		"RELEASES": releases, "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_TEMP": directory,
		"GITHUB_PATH": filepath.Join(directory, "path"), "PATH": os.Getenv("PATH"),
	}
	command := exec.CommandContext(t.Context(), "sh", path)
	command.Dir = directory
	for name, value := range environment {
		if changed, ok := inputs[name]; ok {
			value = changed
		}
		command.Env = append(command.Env, name+"="+value)
	}
	printed, _ := command.CombinedOutput()
	return string(printed), command.ProcessState.ExitCode()
}

func TestActionPassesInputsAsArguments(t *testing.T) {
	for name, test := range map[string]struct {
		inputs map[string]string
		want   []string
	}{
		"default": {nil, []string{"check", "--output=github", "--", "."}},
		"version of a fork": {map[string]string{"ACTION_REF": "0f3c", "VERSION": "v1.2.3"},
			[]string{"check", "--output=github", "--", "."}},
		"all": {map[string]string{"CONFIG": "my policy.yaml", "OUTPUT": "text", "ARGUMENTS": "--ask-mirrors\n--image-path=a b\n", "PATHS": "deploy\n\nmy charts/*.yaml\n"},
			[]string{"check", "--output=text", "--config=my policy.yaml", "--ask-mirrors", "--image-path=a b", "--", "deploy", "my charts/*.yaml"}},
		"commands": {map[string]string{"PATHS": "$(touch x)\n`touch x`; touch x\n--fix-mirrors", "CONFIG": "\"; touch x; \""},
			[]string{"check", "--output=github", "--config=\"; touch x; \"", "--", "$(touch x)", "`touch x`; touch x", "--fix-mirrors"}},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			unchanged := func(archive []byte) []byte { return archive }
			output, code := runAction(t, directory, release(t, "v1.2.3", unchanged), test.inputs)
			want := "<" + strings.Join(test.want, ">\n<") + ">\n"
			if diff := cmp.Diff(want, output); diff != "" || code != 1 {
				t.Errorf("exit code %d, want that of the check (-want +got):\n%s", code, diff)
			}
			if _, err := os.Stat(filepath.Join(directory, "x")); err == nil {
				t.Error("an input was run as a command")
			}
		})
	}
}

func TestActionWritesReportAndPath(t *testing.T) {
	directory := t.TempDir()
	unchanged := func(archive []byte) []byte { return archive }
	releases := release(t, "v1.2.3", unchanged)
	inputs := map[string]string{"OUTPUT": "sarif", "REPORT": "my report.sarif"}
	for range 2 { // the second time, the plugin is already there
		if output, code := runAction(t, directory, releases, inputs); output != "" || code != 1 {
			t.Errorf("exit code %d, output %s", code, output)
		}
		releases = "http://127.0.0.1:1"
	}
	report, err := os.ReadFile(filepath.Join(directory, "my report.sarif"))
	if err != nil || !strings.HasPrefix(string(report), "<check>\n<--output=sarif>") {
		t.Errorf("the report is %q, %v", report, err)
	}
	path, err := os.ReadFile(filepath.Join(directory, "path"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(path)), plugin)); err != nil || strings.Count(string(path), "\n") != 1 {
		t.Errorf("later steps have the PATH %q: %v", path, err)
	}
}

func TestActionRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		inputs map[string]string
		change func([]byte) []byte
		want   string
	}{
		"a changed archive": {nil, func(archive []byte) []byte { return slices.Concat(archive, []byte("x")) },
			"kubectl-image_webhook_1.2.3_linux_amd64.tar.gz has another checksum than in checksums.txt: do not use it, and report this to the project"},
		"a release that does not exist": {map[string]string{"VERSION": "v9.9.9"}, nil,
			"cannot download checksums.txt of release v9.9.9: check the version and the network"},
		"a commit": {map[string]string{"ACTION_REF": "d9c2481"}, nil,
			"the ref of the action is not a release: set the input version to one, such as v1.2.3"},
		"no ref": {map[string]string{"ACTION_REF": ""}, nil,
			"the ref of the action is not a release: set the input version to one, such as v1.2.3"},
		"a path as version": {map[string]string{"VERSION": "v1.2.3/../v1.0.0"}, nil,
			"the input version is not a release: use one such as v1.2.3"},
		"another system": {map[string]string{"RUNNER_OS": "Plan9"}, nil,
			"there is no plugin for Plan9: use a runner with Linux, macOS or Windows"},
		"another architecture": {map[string]string{"RUNNER_ARCH": "ARM"}, nil,
			"there is no plugin for ARM: use a runner with X64 or ARM64"},
		"an archive that the release does not have": {map[string]string{"RUNNER_ARCH": "ARM64"}, nil,
			"cannot download kubectl-image_webhook_1.2.3_linux_arm64.tar.gz of release v1.2.3: check the version and the network"},
	} {
		t.Run(name, func(t *testing.T) {
			change := test.change
			if change == nil {
				change = func(archive []byte) []byte { return archive }
			}
			directory := t.TempDir()
			output, code := runAction(t, directory, release(t, "v1.2.3", change), test.inputs)
			if want := "::error title=image-webhook::" + test.want + "\n"; code != 2 || !strings.HasSuffix(output, want) {
				t.Errorf("exit code %d, output %s, want %s", code, output, want)
			}
			if _, err := os.Stat(filepath.Join(directory, "path")); err == nil {
				t.Error("later steps can run the plugin")
			}
		})
	}
}

func TestActionUsesVariablesOfScript(t *testing.T) {
	content, err := os.ReadFile(root + "/.github/actions/check/action.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Inputs map[string]struct{ Description, Default string }
		Runs   struct {
			Steps []struct{ Env map[string]string }
		}
	}
	if err := yaml.Unmarshal(content, &action); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(root + "/.github/actions/check/check.sh")
	if err != nil {
		t.Fatal(err)
	}
	values := ""
	for name, value := range action.Runs.Steps[0].Env {
		values += value
		if name != "ACTION_PATH" && !strings.Contains(string(text), "$"+name) && !strings.Contains(string(text), "${"+name) {
			t.Errorf("check.sh does not use %s", name)
		}
	}
	for name, input := range action.Inputs {
		if !strings.Contains(values, "${{ inputs."+name+" }}") || input.Description == "" {
			t.Errorf("the input %s is not used or not described", name)
		}
	}
}
