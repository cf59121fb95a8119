package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestPolicyWritesHostsTOML(t *testing.T) {
	writeFiles(t, map[string]string{
		"policy.yaml": "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\nmirrors: [{source: quay.io:5000, mirror: m.example/quay}]\ndisallowedTags: [dev]\n",
	})
	want := clitest.Result{
		Stdout: "wrote certs.d/quay.io_5000_/hosts.toml\n",
		Stderr: "note: the files have only the mirrors; the other rules of the policy need the webhook, and pods keep the images that users write\n",
	}
	for _, name := range []string{"the first run", "the second run"} {
		if diff := cmp.Diff(want, runCommand(t, "policy", "--config=policy.yaml", "--hosts-toml=certs.d")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	content, err := os.ReadFile(filepath.Join("certs.d", "quay.io_5000_", "hosts.toml"))
	if err != nil || !strings.Contains(string(content), "[host.\"https://m.example/v2/quay\"]\n") || !strings.Contains(string(content), " of a policy file.\n") {
		t.Errorf("%v:\n%s", err, content)
	}
}

func TestPolicyRefusesHostsTOML(t *testing.T) {
	writeFiles(t, map[string]string{"file": ""})
	for _, tt := range []struct{ rules, directory, want string }{
		{"docker.io/bitnami=m.example", "certs.d", `mirror rule "docker.io/bitnami=m.example" is not possible in hosts.toml: ` +
			"containerd chooses a mirror by the registry, and not by the path: use one mirror for all of docker.io, or let the webhook mirror"},
		{"", "certs.d", "no mirror rule for a registry: add mirrors to the policy"},
		{"m.example", "file", "write into file: it is not a directory: choose another directory"},
	} {
		want := clitest.Result{Code: 2, Stderr: "kubectl image-webhook: --hosts-toml: " + tt.want + ": see kubectl image-webhook policy --help\n"}
		if diff := cmp.Diff(want, runCommand(t, "policy", "--registry-mirrors="+tt.rules, "--hosts-toml="+tt.directory)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.rules, diff)
		}
	}
	if _, err := os.Stat("certs.d"); err == nil {
		t.Error("a refused policy has written the directory")
	}
}
