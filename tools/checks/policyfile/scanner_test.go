package policyfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/markdown"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// The commands of the recipe for scanners run with these programs instead of Trivy and kubectl.
const (
	// fakeTrivy writes a report from testdata.
	fakeTrivy = `#!/bin/sh
for arg; do
	case $arg in --output=*) cp "$TESTDATA/${arg##*/}" "${arg#--output=}" ;; esac
done
`
	// fakeKubectl prints the reports of the operator, and keeps the patch of the ConfigMap.
	fakeKubectl = `#!/bin/sh
case $1 in
get) cat "$TESTDATA/vulnerabilityreports.json" ;;
patch) cp patch.json patched.json ;;
esac
`
)

// scannerRecipe is the recipe on the page: its policy, the commands for each scanner, and the
// commands that update the ConfigMap. results has the rows of its table: an image, and the reason why
// it is denied, which is empty if it is allowed.
type scannerRecipe struct {
	policy, trivy, operator, install string

	results [][2]string
}

// resultRow is a row of the table of the recipe.
var resultRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:allowed|denied: `([^`]+)`) \\|$")

func readScannerRecipe(t *testing.T) scannerRecipe {
	t.Helper()
	_, section, found := strings.Cut(readFile(t, page), "\n### Deny images from a scanner\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	for _, block := range markdown.Parse([]byte(section)).Blocks {
		blocks = append(blocks, block.Info, block.Text)
	}
	if !found || len(blocks) != 8 || blocks[0] != "yaml" || blocks[2] != "sh" || blocks[4] != "sh" || blocks[6] != "sh" {
		t.Fatalf("the recipe must have a policy, the commands for Trivy, those for its operator, and those that update the ConfigMap: it has %q", blocks)
	}
	recipe := scannerRecipe{policy: blocks[1], trivy: blocks[3], operator: blocks[5], install: blocks[7]}
	for _, row := range resultRow.FindAllStringSubmatch(section, -1) {
		recipe.results = append(recipe.results, [2]string{row[1], row[2]})
	}
	if len(recipe.results) < 3 {
		t.Fatalf("the recipe has %d results: the check is broken", len(recipe.results))
	}
	return recipe
}

// run runs the commands in an empty directory, as a user pastes them: a command runs even if the one
// before it failed. It returns the policy in the ConfigMap, and an error if the last command fails.
func (r scannerRecipe) run(t *testing.T, commands, testdata string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Fatalf("%v: install the package jq", err)
	}
	testdata, err := filepath.Abs(testdata)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"policy.yaml": r.policy, "bin/trivy": fakeTrivy, "bin/kubectl": fakeKubectl} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", commands+r.install)
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "TESTDATA="+testdata)
	output, runErr := shell.CombinedOutput()
	content, err := os.ReadFile(filepath.Join(dir, "patched.json"))
	if err != nil || runErr != nil {
		return "", fmt.Errorf("%w:\n%s", errors.Join(err, runErr), output)
	}
	var patch struct{ Data map[string]string }
	if err := json.Unmarshal(content, &patch); err != nil {
		t.Fatal(err)
	}
	return patch.Data["policy.yaml"], nil
}

func TestScannerReportsBecomeDeniedImages(t *testing.T) {
	const (
		nginx = "critical vulnerabilities: CVE-2023-44487, CVE-2023-45853"
		app   = "critical vulnerabilities: CVE-2024-0001, CVE-2024-0002, CVE-2024-0003, CVE-2024-0004, CVE-2024-0005 and 2 more"
	)
	digests := []string{"@sha256:" + strings.Repeat("1", 64), "@sha256:" + strings.Repeat("2", 62) + "a2"}
	recipe, schema := readScannerRecipe(t), compiled(t)
	for _, test := range []struct {
		name, commands string
		want           []policy.DeniedImage
	}{
		{"Trivy", recipe.trivy, []policy.DeniedImage{
			{Image: "nginx:1.25.0", Reason: nginx}, {Image: "nginx" + digests[0], Reason: nginx},
			{Image: "quay.io/team/app:1.2", Reason: app}, {Image: "quay.io/team/app" + digests[1], Reason: app},
		}},
		{"operator", recipe.operator, []policy.DeniedImage{
			{Image: "nginx:1.25.0", Reason: nginx}, {Image: "nginx" + digests[0], Reason: nginx},
			{Image: "quay.io/team/app:1.2", Reason: app}, {Image: "quay.io/team/app" + digests[1], Reason: app},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, err := recipe.run(t, test.commands, "testdata")
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(t, schema, text); err != nil {
				t.Error(err)
			}
			file, err := policy.Parse("policy.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, file.DeniedImages); diff != "" {
				t.Errorf("deniedImages (-want +got):\n%s", diff)
			}
			rules, err := file.Rules(policy.Flags{})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range recipe.results {
				if got := reason(t, &rules.Policy, row[0]); got != row[1] {
					t.Errorf("%s is denied with the reason %q, want %q", row[0], got, row[1])
				}
			}
		})
	}
}

func TestScannerRecipeChangesNothingWithoutReports(t *testing.T) {
	recipe := readScannerRecipe(t)
	for name, commands := range map[string]string{"Trivy": recipe.trivy, "operator": recipe.operator} {
		if text, err := recipe.run(t, commands, "no such directory"); err == nil {
			t.Errorf("%s: got the policy\n%s\nwant no change of the ConfigMap", name, text)
		}
	}
}

// reason returns why a policy denies an image by name, or an empty string.
func reason(t *testing.T, p *image.Policy, reference string) string {
	t.Helper()
	ref, err := image.Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range p.Check(ref) {
		if violation.Rule == image.RuleDenied {
			return violation.Reason
		}
	}
	return ""
}
