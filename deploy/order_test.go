package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/deploy"
)

func TestReadRefusesInvalidOrder(t *testing.T) {
	for _, tt := range []struct {
		name, order, want string
	}{
		{"unknown field", "- {file: 01-a.yaml, verb: apply, waits: []}\n", `order.yaml: error unmarshaling JSON: while decoding JSON: json: unknown field "waits"`},
		{"missing manifest", "- {file: 01-a.yaml, verb: apply}\n- {file: 03-c.yaml, verb: apply}\n", "order.yaml: step 2: open 03-c.yaml: file does not exist: create the file or delete the step"},
		{"invalid verb", "- {file: 01-a.yaml, verb: replace}\n", `order.yaml: step 1: 01-a.yaml: invalid verb "replace": use apply or create`},
		{"no verb", "- {file: 01-a.yaml}\n", `order.yaml: step 1: 01-a.yaml: invalid verb "": use apply or create`},
		{"manifest without a step", "- {file: 01-a.yaml, verb: apply}\n", "order.yaml: 02-b.yaml has 0 steps: each manifest must have one"},
		{"manifest with two steps", "- {file: 01-a.yaml, verb: apply}\n- {file: 02-b.yaml, verb: apply}\n- {file: 01-a.yaml, verb: apply}\n", "order.yaml: 01-a.yaml has 2 steps: each manifest must have one"},
	} {
		_, err := deploy.Read(fstest.MapFS{
			"order.yaml": {Data: []byte(tt.order)},
			"01-a.yaml":  {Data: []byte("a")},
			"02-b.yaml":  {Data: []byte("b")},
		})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got error %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := deploy.Read(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "order.yaml") {
		t.Errorf("directory without order.yaml: got error %v", err)
	}
}

func TestReadReturnsManifestsOfDirectoryInOrder(t *testing.T) {
	got, err := deploy.Read(fstest.MapFS{
		"order.yaml": {Data: []byte("- {file: 02-b.yaml, verb: apply}\n- {file: 01-a.yaml, verb: create}\n")},
		"01-a.yaml":  {Data: []byte("a")},
		"02-b.yaml":  {Data: []byte("b")},
		"other.yaml": {Data: []byte("c")},
	})
	want := []deploy.File{{Name: "02-b.yaml", Content: "b"}, {Name: "01-a.yaml", Content: "a"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, files (-want +got):\n%s", err, diff)
	}
}

// commands returns the kubectl commands of a step, as users run them in deploy/.
func commands(step deploy.Step) (lines []string) {
	if len(step.Before) > 0 {
		lines = append(lines, "kubectl "+strings.Join(step.Before, " "))
	}
	lines = append(lines, "kubectl "+step.Verb+" -f "+step.Name)
	if len(step.Wait) > 0 {
		lines = append(lines, "kubectl "+strings.Join(step.Wait, " "))
	}
	return lines
}

// changingCommands returns the kubectl commands of a script, except those that only read.
// installed is whether the webhook is already installed in the cluster.
func changingCommands(t *testing.T, script string, installed bool) (lines []string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	kubectl := "#!/bin/sh\necho \"kubectl $*\" >>" + log + "\n"
	if installed {
		kubectl += "case $* in 'get deployment '*) echo deployment.apps/webhook ;; esac\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(kubectl), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "ANY_CLUSTER=1")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, output)
	}
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(content)), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "kubectl get ")
	})
}

func TestInstallScriptFollowsTheOrder(t *testing.T) {
	var firstRun, secondRun []string
	for _, step := range deploy.Steps() {
		lines := commands(step)
		firstRun = append(firstRun, lines...)
		if step.Name == "04-webhook.yaml" { // the image's tag does not show that its content has changed
			lines = slices.Insert(lines, 1, "kubectl rollout restart deployment/webhook -n image-webhook")
		}
		secondRun = append(secondRun, lines...)
	}
	if diff := cmp.Diff(firstRun, changingCommands(t, "../scripts/install.sh", false)); diff != "" {
		t.Errorf("first installation (-order.yaml +install.sh):\n%s", diff)
	}
	if diff := cmp.Diff(secondRun, changingCommands(t, "../scripts/install.sh", true)); diff != "" {
		t.Errorf("second installation (-order.yaml +install.sh):\n%s", diff)
	}
}

func TestUninstallScriptReversesTheOrder(t *testing.T) {
	// The webhook configurations are deleted first, so that the API server does not call a
	// webhook that is being deleted.
	const configurations = "kubectl delete -f 05-webhookconfigure.yaml --ignore-not-found"
	want := []string{configurations}
	for _, file := range slices.Backward(deploy.Files()) {
		if line := "kubectl delete -f " + file.Name + " --ignore-not-found"; line != configurations {
			want = append(want, line)
		}
	}
	want = append(want, "kubectl delete namespace image-webhook-demo --ignore-not-found")
	if diff := cmp.Diff(want, changingCommands(t, "../scripts/uninstall.sh", true)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// shellBlock matches a code block in Markdown that users run in a shell.
var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

func TestDocumentationFollowsTheOrder(t *testing.T) {
	var want []string
	for _, step := range deploy.Steps() {
		want = append(want, commands(step)...)
	}
	found := 0
	for _, pattern := range []string{"../*.md", "../docs/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			for _, got := range documentedCommands(t, page) {
				found++
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-order.yaml +page):\n%s", page, diff)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no page lists the commands of the installation")
	}
}

// documentedCommands returns the kubectl commands of each code block that installs the
// manifests one by one.
func documentedCommands(t *testing.T, page string) (blocks [][]string) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range shellBlock.FindAllStringSubmatch(string(content), -1) {
		if !strings.Contains(block[1], "kubectl apply -f 01-namespace.yaml") {
			continue
		}
		var lines []string
		for _, line := range strings.FieldsFunc(strings.ReplaceAll(block[1], " && ", "\n"), func(r rune) bool { return r == '\n' }) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "kubectl ") {
				lines = append(lines, line)
			}
		}
		blocks = append(blocks, lines)
	}
	return blocks
}
