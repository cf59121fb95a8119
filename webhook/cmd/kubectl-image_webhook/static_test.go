package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
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
		want := clitest.Result{Stdout: wroteFiles, Stderr: note}
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

// wroteFiles is the output for the directory files.
const wroteFiles = `wrote files/mutating/image-webhook.yaml
wrote files/mutating-webhooks/image-webhook.yaml
wrote files/validating-webhooks/image-webhook.yaml
wrote files/validating/image-webhook.yaml
wrote files/webhook-kubeconfig.yaml
wrote files/admission.yaml
`

func TestPolicyWritesAStaticWebhook(t *testing.T) {
	ca, err := os.ReadFile(servertest.NewCA(t, t.TempDir()).File)
	if err != nil {
		t.Fatal(err)
	}
	large := "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\ndeniedImages:\n"
	for i := range 3000 {
		large += fmt.Sprintf("  - {image: 'registry.example/team/application-%04d:1', reason: old}\n", i)
	}
	writeFiles(t, map[string]string{"ca.crt": string(ca), "large.yaml": large})
	if got := runCommand(t, "policy", "--config=large.yaml", "--static=files"); got.Code != 2 || !strings.Contains(got.Stderr, "deniedImages is too long for an expression") {
		t.Errorf("policies that the API server would refuse: %+v", got)
	}
	const notes = "note: every API server needs the files in /etc/kubernetes/image-webhook and --admission-control-config-file=/etc/kubernetes/image-webhook/admission.yaml; " +
		"Kubernetes 1.36 also needs --feature-gates=ManifestBasedAdmissionControlConfig=true\n" +
		"note: the API servers call https://127.0.0.1:9443 with the client certificate in /etc/kubernetes/image-webhook/client.crt: start the webhook before you copy the files\n"
	for _, tt := range []struct {
		arg            string
		policies, call string // parts of the files
	}{
		{"--config=large.yaml", "\nitems: []\n", "url: https://127.0.0.1:9443/mutating\n"},
		{"--validating", "\nitems: []\n", "url: https://127.0.0.1:9443/mutating/warn\n"},
	} {
		got := runCommand(t, "policy", tt.arg, "--static=files", "--static-webhook=https://127.0.0.1:9443", "--static-webhook-ca=ca.crt")
		if got.Code != 0 || got.Stdout != wroteFiles || !strings.HasSuffix(got.Stderr, notes) {
			t.Errorf("%s: %+v", tt.arg, got)
		}
		for file, want := range map[string]string{"files/mutating/image-webhook.yaml": tt.policies, "files/mutating-webhooks/image-webhook.yaml": tt.call} {
			if content, err := os.ReadFile(file); err != nil || !strings.Contains(string(content), want) {
				t.Errorf("%s: %s does not contain %q: %v", tt.arg, file, want, err)
			}
		}
	}
}

func TestPolicyRefusesStaticFiles(t *testing.T) {
	writeFiles(t, map[string]string{"file": ""})
	for _, tt := range []struct{ args, want string }{
		{"--static=", `--static: invalid directory "": use a directory`},
		{"--static=out --for=1.35", "--static: Kubernetes 1.35 reads no policies from files: use Kubernetes 1.36 or newer, or omit --static"},
		{"--static=out --validating", "--static writes all policies: omit --validating, or add --static-webhook"},
		{"--static=out --hosts-toml=certs.d", "--hosts-toml and --static write different files: run the command once for each"},
		{"--static=out --static-path=etc/x", `--static-path: invalid path "etc/x": use an absolute path`},
		{"--static=out --static-admin=", `--static-admin: invalid user "": use the name of a user`},
		{"--static-admin=alice", "--static-admin is only for files: add --static"},
		{"--verify", "--verify is only for files: add --static"},
		{"--static=out --verify --verify-timeout=0s", `--verify-timeout: invalid duration "0s": use a positive duration such as 2m`},
		{"--static=out --static-webhook=https://127.0.0.1:9443", "--static-webhook needs the CA of the webhook's certificate: add --static-webhook-ca"},
		{"--static=out --static-webhook-ca=file", "--static-webhook-ca is only for a webhook: add --static-webhook"},
		{"--static=out --static-webhook=https://127.0.0.1:9443 --static-webhook-ca=missing", "--static-webhook-ca: open missing: no such file or directory"},
		{"--static=out --static-webhook=https://127.0.0.1:9443 --static-webhook-ca=file", "--static-webhook: the file of the CA has no PEM certificate: use the ca.crt that deploy/image-policy/certificates.sh created"},
		{"--static=out --static-webhook=127.0.0.1 --static-webhook-ca=file", `--static-webhook: invalid URL "127.0.0.1": use https://HOST:PORT, such as https://127.0.0.1:9443`},
		{"--static-webhook=https://127.0.0.1:9443", "--static-webhook is only for files: add --static"},
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
