package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func TestPolicyWritesStaticFiles(t *testing.T) {
	writeFiles(t, nil)
	const note = "note: every API server needs the files in /srv/x and --admission-control-config-file=/srv/x/admission.yaml; " +
		"Kubernetes 1.36 also needs --feature-gates=ManifestBasedAdmissionControlConfig=true\n"
	for _, name := range []string{"the first run", "the second run"} {
		got := runCommand(t, "policy", "--registry-mirrors=m.example", "--static=files", "--static-path=/srv/x", "--static-admin=alice", "--static-admin=bob, the admin")
		cost, rest, _ := strings.Cut(got.Stderr, "\n")
		if !strings.HasPrefix(cost, "estimated cost of a pod with 100 images: ") {
			t.Errorf("%s: the first line is %q", name, cost)
		}
		got.Stderr = rest
		want := clitest.Result{Stdout: "wrote files/mutating/image-webhook.yaml\nwrote files/validating/image-webhook.yaml\nwrote files/admission.yaml\n", Stderr: note}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for file, want := range map[string]string{
		"files/admission.yaml":                "staticManifestsDir: /srv/x/validating\n",
		"files/validating/image-webhook.yaml": ": ask alice or bob, the admin\"",
		"files/mutating/image-webhook.yaml":   "name: image-webhook.static.k8s.io\n",
	} {
		if content, err := os.ReadFile(file); err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s does not contain %q: %v", file, want, err)
		}
	}
}

func TestPolicyRefusesStaticFiles(t *testing.T) {
	writeFiles(t, map[string]string{"file": ""})
	for _, tt := range []struct{ args, want string }{
		{"--static=", `--static: invalid directory "": use a directory`},
		{"--static=out --for=1.35", "--static: Kubernetes 1.35 reads no policies from files: use Kubernetes 1.36 or newer, or omit --static"},
		{"--static=out --validating", "--static writes all policies: omit --validating"},
		{"--static=out --hosts-toml=certs.d", "--hosts-toml and --static write different files: run the command once for each"},
		{"--static=out --static-path=etc/x", `--static-path: invalid path "etc/x": use an absolute path`},
		{"--static=out --static-admin=", `--static-admin: invalid user "": use the name of a user`},
		{"--static-admin=alice", "--static-admin is only for files: add --static"},
		{"--verify", "--verify is only for files: add --static"},
		{"--static=out --verify --verify-timeout=0s", `--verify-timeout: invalid duration "0s": use a positive duration such as 2m`},
		{"--static-path=/x", "--static-path is only for files: add --static"},
	} {
		want := clitest.Result{Code: 2, Stderr: "kubectl image-webhook: " + tt.want + ": see kubectl image-webhook policy --help\n"}
		if diff := cmp.Diff(want, runCommand(t, append([]string{"policy"}, strings.Fields(tt.args)...)...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
	if _, err := os.Stat("out"); err == nil {
		t.Error("a refused command has written the directory")
	}
	got := runCommand(t, "policy", "--static=file")
	if want := "kubectl image-webhook: --static: write into file: it is not a directory: choose another directory: see kubectl image-webhook policy --help\n"; got.Code != 2 || !strings.HasSuffix(got.Stderr, want) {
		t.Errorf("exit code %d, standard error %q, want %q", got.Code, got.Stderr, want)
	}
}
