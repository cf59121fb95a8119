package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

// objectName matches the kind and the name of an object.
var objectName = regexp.MustCompile(`(?m)^kind: (.*)\n(?:.*\n)*?  name: (.*)$`)

// objectNames returns the objects of a manifest.
func objectNames(manifest string) (names []string) {
	for document := range strings.SplitSeq(manifest, "---\n") {
		if match := objectName.FindStringSubmatch(document); match != nil {
			names = append(names, match[1]+" "+match[2])
		}
	}
	return names
}

func TestPolicyWritesTheObjectsOfAForm(t *testing.T) {
	validating := []string{
		"ValidatingAdmissionPolicy image-webhook",
		"ValidatingAdmissionPolicyBinding image-webhook",
		"ValidatingAdmissionPolicyBinding image-webhook-warn",
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"hybrid", []string{"--registry-mirrors=mirror.example", "--validating"}, validating},
		{"complete", []string{"--registry-mirrors=mirror.example"}, []string{
			"MutatingAdmissionPolicy image-webhook",
			"MutatingAdmissionPolicyBinding image-webhook",
			"ValidatingAdmissionPolicy image-webhook-unknown-mode",
			"ValidatingAdmissionPolicy image-webhook-workloads",
			"ValidatingAdmissionPolicy image-webhook",
			"ValidatingAdmissionPolicyBinding image-webhook-unknown-mode",
			"ValidatingAdmissionPolicyBinding image-webhook-workloads",
			"ValidatingAdmissionPolicyBinding image-webhook-workloads-warn",
			"ValidatingAdmissionPolicyBinding image-webhook",
			"ValidatingAdmissionPolicyBinding image-webhook-warn",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runCommand(t, append([]string{"policy"}, tt.args...)...)
			if diff := cmp.Diff(tt.want, objectNames(got.Stdout)); diff != "" || got.Code != 0 {
				t.Errorf("exit code %d, objects (-want +got):\n%s", got.Code, diff)
			}
			if !regexp.MustCompile(`^estimated cost of a pod with 100 images: [0-9,]+ to deny it(, [0-9,]+ to mirror it)? \(limit for each: 10,000,000\)\n$`).MatchString(got.Stderr) {
				t.Errorf("standard error is %q", got.Stderr)
			}
		})
	}
}

func TestHybridFormHasThePolicyOfThePolicyFile(t *testing.T) {
	const file = "../../../deploy/hybrid/policy.yaml"
	content, err := deploy.PolicyFile()
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, "policy", "--validating", "--config="+policy).Stdout
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run `go test ./webhook/cmd/kubectl-image_webhook -update` (-deploy/hybrid/policy.yaml +policy file of 04):\n%s", diff)
	}
}

func TestPolicyRefuses(t *testing.T) {
	writeFiles(t, map[string]string{"policy.yaml": "kind: ImagePolicy\n"})
	for _, tt := range []struct{ args, want string }{
		{"policy.yaml", `unexpected argument "policy.yaml"`},
		{"--for=new", `--for: invalid version "new": use a version such as 1.36`},
		{"--for=1.35 --registry-mirrors=mirror.example", "cannot write policies for Kubernetes 1.35: mirrors needs MutatingAdmissionPolicy, which is not stable there: use Kubernetes 1.36 or newer, or add --validating and let the webhook mirror"},
		{"--hosts-toml=certs.d --validating", "--hosts-toml writes no objects of the API server: omit --validating and --for"},
		{"--hosts-toml=certs.d --for=1.36", "--hosts-toml writes no objects of the API server: omit --validating and --for"},
		{"--config=policy.yaml", "--config: policy.yaml:1:1: the field apiVersion is missing: add apiVersion: image-webhook.dev/v1alpha1"},
	} {
		want := clitest.Result{Code: 2, Stderr: "kubectl image-webhook: " + tt.want + ": see kubectl image-webhook policy --help\n"}
		if diff := cmp.Diff(want, runCommand(t, append([]string{"policy"}, strings.Fields(tt.args)...)...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
}
