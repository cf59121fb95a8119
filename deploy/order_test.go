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

// Objects that show that the webhook, and the manifests for the owners of namespaces, are
// installed, as kubectl is called to get them.
const (
	webhookInstalled        = "deployment webhook "
	namespaceOwnerInstalled = "deployment namespace-owner "
	hybridPolicyPresent     = "validatingadmissionpolicies image-webhook "
	namespaceOwnerPresent   = "clusterroles -l app.kubernetes.io/component=namespace-owner "
	selectedPods            = "pods -n image-webhook -l " // the Service always selects a pod
)

// changingCommands returns the kubectl commands of a script, except those that only read.
// present are objects in the cluster. The Service of the webhook selects a pod.
func changingCommands(t *testing.T, script string, present ...string) []string {
	t.Helper()
	lines, output, err := runWithObjects(t, script, append(present, selectedPods)...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, output)
	}
	return lines
}

// runWithObjects runs a script with a kubectl that finds only the objects that are present. It
// returns the kubectl commands that do not only read, and the output of the script.
func runWithObjects(t *testing.T, script string, present ...string) (lines []string, output string, err error) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	kubectl := "#!/bin/sh\nprintf '%s\\n' \"kubectl $*\" >>" + log + "\n"
	for _, object := range present {
		kubectl += "case $* in 'get " + object + "'*) echo object ;; esac\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(kubectl), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "ANY_CLUSTER=1")
	combined, err := cmd.CombinedOutput()
	content, readErr := os.ReadFile(log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(content)), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "kubectl get ")
	}), string(combined), err
}

func TestInstallScriptsFollowTheOrder(t *testing.T) {
	var lastRuns []string
	for _, tt := range []struct {
		script     string
		steps      []deploy.Step
		deployment string   // file of the Deployment
		restart    string   // arguments of the command that restarts its pods
		first      []string // objects in the cluster before the first installation
		second     []string // objects in the cluster before the second installation
	}{
		{"install.sh", deploy.Steps(), "04-webhook.yaml", "deployment/webhook -n image-webhook", nil, []string{webhookInstalled}},
		{"install-namespace-owner.sh", deploy.NamespaceOwnerSteps(), "04-controller.yaml", "deployment/namespace-owner -n image-webhook",
			[]string{webhookInstalled}, []string{webhookInstalled, namespaceOwnerInstalled}},
	} {
		var firstRun, secondRun []string
		for _, step := range tt.steps {
			lines := commands(step)
			firstRun = append(firstRun, lines...)
			if step.Name == tt.deployment { // the image's tag does not show that its content has changed
				lines = slices.Insert(lines, 1, "kubectl rollout restart "+tt.restart)
			}
			secondRun = append(secondRun, lines...)
		}
		script := "../scripts/" + tt.script
		if diff := cmp.Diff(firstRun, changingCommands(t, script, tt.first...)); diff != "" {
			t.Errorf("first installation (-order.yaml +%s):\n%s", tt.script, diff)
		}
		if diff := cmp.Diff(secondRun, changingCommands(t, script, tt.second...)); diff != "" {
			t.Errorf("second installation (-order.yaml +%s):\n%s", tt.script, diff)
		}
		lastRuns = append(lastRuns, secondRun...)
	}
	// A second installation of the webhook includes that of the owners, which uses its image and CA.
	if diff := cmp.Diff(lastRuns, changingCommands(t, "../scripts/install.sh", webhookInstalled, namespaceOwnerInstalled)); diff != "" {
		t.Errorf("second installation of everything (-order.yaml +install.sh):\n%s", diff)
	}
}

func TestInstallStopsBeforeTheRegistrationIfTheServiceSelectsNoPod(t *testing.T) {
	lines, output, err := runWithObjects(t, "../scripts/install.sh", webhookInstalled)
	if err == nil || !strings.Contains(output, "install.sh: Service webhook selects no pod: ") {
		t.Errorf("error %v, output:\n%s", err, output)
	}
	if applied := slices.Contains(lines, "kubectl apply -f 05-webhookconfigure.yaml"); applied || !slices.Contains(lines, "kubectl apply -f 04-webhook.yaml") {
		t.Errorf("05 is applied: %t; commands:\n%s", applied, strings.Join(lines, "\n"))
	}
}

// deletions returns the commands that delete manifests: those called first, then the others in
// the reverse order of their installation.
func deletions(installed []deploy.File, first ...string) (lines []string) {
	for _, file := range slices.Backward(installed) {
		if !slices.Contains(first, file.Name) {
			first = append(first, file.Name)
		}
	}
	for _, name := range first {
		lines = append(lines, "kubectl delete -f "+name+" --ignore-not-found")
	}
	return lines
}

func TestUninstallScriptsReverseTheOrder(t *testing.T) {
	// The webhook configurations are deleted first, so that the API server does not call a
	// webhook that is being deleted. The policies about owners stay until nothing acts on an
	// owner.
	webhook := append(deletions(deploy.Files(), "05-webhookconfigure.yaml"),
		"kubectl delete namespace image-webhook-demo --ignore-not-found")
	namespaceOwner := append(deletions(deploy.NamespaceOwnerFiles(), "05-webhookconfigure.yaml"),
		"kubectl delete namespace/image-webhook-demo-alice namespace/image-webhook-demo-bob clusterrolebinding/image-webhook-demo --ignore-not-found")
	for _, tt := range []struct {
		script  string
		present []string
		want    []string
	}{
		{"uninstall.sh", []string{webhookInstalled}, webhook},
		{"uninstall.sh", []string{webhookInstalled, hybridPolicyPresent}, slices.Insert(slices.Clone(webhook), 1, "kubectl delete -f hybrid/policy.yaml --ignore-not-found")},
		{"uninstall.sh", []string{webhookInstalled, namespaceOwnerPresent}, slices.Concat(namespaceOwner, webhook)},
		{"uninstall-namespace-owner.sh", []string{webhookInstalled, namespaceOwnerPresent}, namespaceOwner},
	} {
		if diff := cmp.Diff(tt.want, changingCommands(t, "../scripts/"+tt.script, tt.present...)); diff != "" {
			t.Errorf("%s, installed are %q (-want +got):\n%s", tt.script, tt.present, diff)
		}
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
