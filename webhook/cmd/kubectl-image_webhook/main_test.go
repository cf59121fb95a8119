package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
	"github.com/image-webhook/image-webhook/webhook/status"
)

func runCommand(t *testing.T, args ...string) clitest.Result {
	t.Helper()
	return clitest.RunProgram(t, run, args...)
}

func TestInvalidCommandLines(t *testing.T) {
	t.Setenv("KUBECONFIG", clitest.UnreachableKubeconfig(t))
	missing := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no command", []string{}, "no command: use check, audit, explain, policy or status: see kubectl image-webhook --help"},
		{"unknown command", []string{"stat"}, `unknown command "stat" for "kubectl image-webhook": see kubectl image-webhook --help`},
		{"argument", []string{"status", "now"}, `unexpected argument "now": see kubectl image-webhook status --help`},
		{"unknown flag", []string{"status", "--x"}, "unknown flag: --x: see kubectl image-webhook status --help"},
		{"check without manifests", []string{"check"}, "no manifests: name files, directories, or - for standard input: see kubectl image-webhook check --help"},
		{"check format", []string{"check", "-o", "xml", "-"}, `--output: invalid format "xml": use text, json, sarif, github or junit: see kubectl image-webhook check --help`},
		{"check image path", []string{"check", "--image-path=x", "-"},
			`--image-path: image path "x" is not KIND.GROUP=PATH: use a form such as Rollout.argoproj.io=spec.template.spec: see kubectl image-webhook check --help`},
		{"check policy", []string{"check", "--config=" + missing, "-"},
			"--config: open " + missing + ": no such file or directory: use a file with an ImagePolicy: see kubectl image-webhook check --help"},
		{"check rules", []string{"check", "--registry-mirrors=docker.io", "-"},
			`--registry-mirrors: mirror rule "docker.io=docker.io" sends images to where they are: use "docker.io=", with an empty mirror, to leave them unchanged: see kubectl image-webhook check --help`},
		{"explain without an image", []string{"explain"}, "no image: name an image, such as nginx:1.25: see kubectl image-webhook explain --help"},
		{"explain format", []string{"explain", "-o", "xml", "nginx"}, `--output: invalid format "xml": use json, or omit the flag: see kubectl image-webhook explain --help`},
		{"format", []string{"status", "-o", "xml"}, `--output: invalid format "xml": use json, or omit the flag: see kubectl image-webhook status --help`},
		{"timeout", []string{"status", "--timeout=0s"}, `--timeout: invalid duration "0s": use a positive duration such as 30s: see kubectl image-webhook status --help`},
		{"no kubeconfig", []string{"status", "--kubeconfig=" + missing},
			"cannot load the kubeconfig: stat " + missing + ": no such file or directory: set --kubeconfig or --context: see kubectl image-webhook status --help"},
		{"no context", []string{"status", "--context=other"},
			`cannot load the kubeconfig: context "other" does not exist: set --kubeconfig or --context: see kubectl image-webhook status --help`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(clitest.Result{Code: 2, Stderr: "kubectl image-webhook: " + tt.want + "\n"}, runCommand(t, tt.args...)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnreachableServerIsAProblemInBothFormats(t *testing.T) {
	t.Setenv("KUBECONFIG", clitest.UnreachableKubeconfig(t))
	const message = "https://127.0.0.1:1 does not answer: dial tcp 127.0.0.1:1: connect: connection refused"
	want := clitest.Result{Code: 1, Stdout: `RESULT   CHECK               MESSAGE
problem  api-server          ` + message + `
                             fix: kubectl cluster-info
not healthy: 1 problem, 0 unknown, 0 warnings
`}
	if diff := cmp.Diff(want, runCommand(t, "status")); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	var report status.Report
	got := runCommand(t, "status", "--output=json")
	if err := json.Unmarshal([]byte(got.Stdout), &report); err != nil || got.Code != 1 {
		t.Fatalf("exit code %d, %v:\n%s", got.Code, err, got.Stdout)
	}
	wantReport := status.Report{Checks: []status.Check{{Name: "api-server", Result: status.Problem, Message: message, Fix: "kubectl cluster-info"}}}
	if diff := cmp.Diff(wantReport, report); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestHelpHasValidExamples(t *testing.T) {
	if got := len(clitest.Examples(t, newRoot, program)); got != 24 {
		t.Errorf("%d examples, want 24", got)
	}
}

func TestVersion(t *testing.T) {
	got := runCommand(t, "--version")
	if !strings.HasPrefix(got.Stdout, "kubectl image-webhook version ") || got.Code != 0 {
		t.Errorf("got %+v", got)
	}
}

// kubectl has these flags, too. They must stay.
func TestHasFlagsOfKubectl(t *testing.T) {
	help := runCommand(t, "status", "--help").Stdout
	for _, flag := range []string{"--kubeconfig", "--context", "--cluster", "--user", "-n, --namespace", "-s, --server", "--token", "--as ", "--as-group", "--as-uid", "-o, --output"} {
		if !strings.Contains(help, flag) {
			t.Errorf("the help does not contain the flag %s", flag)
		}
	}
	if strings.Contains(help, "--password") {
		t.Error("the help contains --password")
	}
}
