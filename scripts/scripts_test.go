// Package scripts tests the help and the errors of the scripts without a cluster. The
// package e2e and `make demo` run them on a cluster.
package scripts

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/terminaltest"
)

// result is the output and the exit code of a script.
type result struct {
	Code           int
	Stdout, Stderr string
}

// run runs a script with additional environment variables. By default it has no cluster.
func run(t *testing.T, script string, args []string, env ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), script, args...)
	cmd.Env = append(os.Environ(), append([]string{"ANY_CLUSTER=", "KUBECONFIG=/dev/null"}, env...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// dir is the directory of the scripts, as another directory refers to it.
const dir = "../scripts/"

// executables returns the scripts that users can run.
func executables(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(dir + "*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, "../deploy/image-policy/certificates.sh") {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o100 != 0 {
			names = append(names, path)
		}
	}
	return names
}

func TestHelpHasExamples(t *testing.T) {
	scriptName := regexp.MustCompile(`(?:scripts|deploy)/[a-z/-]+\.sh`)
	for _, script := range executables(t) {
		got := run(t, script, []string{"--help"}, "PATH="+path(t, "bash", "sh", "dirname", "sed"))
		if got.Code != 0 || got.Stderr != "" || !strings.Contains(got.Stdout, "\nExamples:\n  # ") {
			t.Errorf("%s --help: exit code %d, %s\n%s", script, got.Code, got.Stderr, got.Stdout)
		}
		for _, name := range scriptName.FindAllString(got.Stdout, -1) {
			if info, err := os.Stat("../" + name); err != nil || info.Mode()&0o100 == 0 {
				t.Errorf("%s --help mentions %s, which is not an executable file", script, name)
			}
		}
	}
}

func TestInvalidArguments(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		dir + "step.sh":                          {[]string{"name"}, "../scripts/step.sh: expected NAME COMMAND [ARG...]: see ../scripts/step.sh --help\n"},
		dir + "compile-tests.sh":                 {}, // passes its arguments to go build
		dir + "release.sh":                       {[]string{"image"}, "../scripts/release.sh: expected IMAGE VERSION: see ../scripts/release.sh --help\n"},
		dir + "release-manifests.sh":             {nil, "../scripts/release-manifests.sh: expected IMAGE [namespace-owner]: see ../scripts/release-manifests.sh --help\n"},
		dir + "release-notes.sh":                 {nil, "../scripts/release-notes.sh: expected VERSION: see ../scripts/release-notes.sh --help\n"},
		dir + "push-image.sh":                    {[]string{"image"}, "../scripts/push-image.sh: expected REFERENCE ARCHIVE...: see ../scripts/push-image.sh --help\n"},
		"../deploy/image-policy/certificates.sh": {nil, "usage: ../deploy/image-policy/certificates.sh DIRECTORY, such as /etc/kubernetes/image-webhook\n"},
	}
	for _, script := range executables(t) {
		test, found := tests[script]
		if !found {
			test.args = []string{"--all"}
			test.want = fmt.Sprintf("%s: unexpected argument \"--all\": see %[1]s --help\n", script)
		}
		if test.want == "" {
			continue
		}
		if diff := cmp.Diff(result{2, "", test.want}, run(t, script, test.args)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", script, test.args, diff)
		}
	}
}

// clusterScripts are the scripts that use the cluster of kubectl's current context.
var clusterScripts = []string{
	"outage.sh", "deny.sh", "install.sh", "mirror.sh", "audit.sh", "rewrite.sh", "uninstall.sh",
	"install-namespace-owner.sh", "namespace-owner.sh", "uninstall-namespace-owner.sh", "undeletable.sh",
}

// path returns a PATH with only these programs.
func path(t *testing.T, programs ...string) string {
	t.Helper()
	bin := t.TempDir()
	for _, program := range programs {
		found, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(found, filepath.Join(bin, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func TestMissingProgramsAreNamed(t *testing.T) {
	bare := "PATH=" + path(t, "bash", "sh", "dirname")
	for _, script := range clusterScripts {
		want := result{1, "", dir + script + ": kubectl is not on the PATH: run `make up`, then eval \"$(bin/cluster env)\"\n"}
		if diff := cmp.Diff(want, run(t, dir+script, nil, bare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
	for script, args := range map[string][]string{"verify.sh": nil, "test.sh": nil, "compile-tests.sh": nil, "step.sh": {"compile", "go", "build"}} {
		want := result{1, "", dir + script + ": go is not on the PATH: install it from https://go.dev/dl\n"}
		if diff := cmp.Diff(want, run(t, dir+script, args, bare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
}

// fakeKubectl answers for a cluster, and logs its arguments.
const fakeKubectl = `#!/bin/sh
echo "$1 $2" >>"$LOG"
case "$1 $2" in
"get nodes") printf "$NODES"; exit "$EXIT" ;;
"config current-context") echo production ;;
esac
`

// A script must not change a cluster that may be in use: it only reads which cluster it is.
func TestClustersNotCreatedByKindAreRefused(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte(fakeKubectl), 0o700); err != nil {
		t.Fatal(err)
	}
	const (
		anyway   = "was not created by kind: set ANY_CLUSTER=1 to use the cluster anyway"
		unlisted = "kubectl cannot list the nodes of a cluster: "
		makeUp   = ": run `make up`, then eval \"$(bin/cluster env)\""
	)
	tests := []struct {
		name  string
		nodes string // the output of `kubectl get nodes`
		exit  string // its exit code
		want  string
	}{
		{"cloud", `ip-1 aws:///eu-west-1/i-0\n`, "0", `node "ip-1" of cluster "production" ` + anyway},
		{"kind and cloud", `one kind://docker/one/one\nip-1 aws:///eu-west-1/i-0\n`, "0", `node "ip-1" of cluster "production" ` + anyway},
		{"no provider", `bare \n`, "0", `node "bare" of cluster "production" ` + anyway},
		{"no nodes", "", "0", `cluster "production" has no nodes, so it ` + anyway},
		{"unreachable", `E1122 memcache.go\nUnable to connect to the server\n`, "1", unlisted + "Unable to connect to the server" + makeUp},
		{"no context", `The connection to the server localhost:8080 was refused\n`, "1", unlisted + "The connection to the server localhost:8080 was refused" + makeUp},
	}
	for _, test := range tests {
		for _, script := range clusterScripts {
			log := filepath.Join(t.TempDir(), "log")
			got := run(t, dir+script, nil, "PATH="+bin+":"+os.Getenv("PATH"), "LOG="+log, "NODES="+test.nodes, "EXIT="+test.exit)
			if diff := cmp.Diff(result{1, "", dir + script + ": " + test.want + "\n"}, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", test.name, script, diff)
			}
			checkOnlyReads(t, test.name+", "+script, log)
		}
	}
}

func checkOnlyReads(t *testing.T, name, log string) {
	t.Helper()
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if line != "get nodes\n" && line != "config current-context\n" {
			t.Errorf("%s: kubectl %s", name, line)
		}
	}
}

// The scripts that need an installation name the script that installs it.
func TestMissingInstallationIsNamed(t *testing.T) {
	const (
		kindNode = `"get nodes") echo "one kind://docker/one/one" ;;`
		webhook  = `"get deployment") echo deployment.apps/webhook ;;`
	)
	tests := []struct{ script, present, want string }{
		{"deny.sh", "", "the webhook is not installed: run scripts/install.sh"},
		{"install-namespace-owner.sh", "", "the webhook is not installed: run scripts/install.sh"},
		{"namespace-owner.sh", "", "the webhook is not installed: run scripts/install.sh"},
		{"namespace-owner.sh", webhook, "the manifests for the owners of namespaces are not installed: run scripts/install-namespace-owner.sh"},
	}
	for _, test := range tests {
		bin := t.TempDir()
		kubectl := "#!/bin/sh\ncase \"$1 $2\" in\n" + kindNode + "\n" + test.present + "\nesac\n"
		if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte(kubectl), 0o700); err != nil {
			t.Fatal(err)
		}
		got := run(t, dir+test.script, nil, "PATH="+bin+":"+os.Getenv("PATH"))
		if diff := cmp.Diff(result{1, "", dir + test.script + ": " + test.want + "\n"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.script, diff)
		}
	}
}

// The marks are the ones of package progress.
func TestMarksAreColoredOnATerminal(t *testing.T) {
	const marks = `. ./shared.sh; choose_marks 1; printf "%s %s" "$done_mark" "$failed_mark"`
	tests := []struct {
		name   string
		env    []string
		script string
		want   string // the start of the output
	}{
		{"terminal", []string{"NO_COLOR=", "TERM=xterm"}, marks, "\033[32m✓\033[0m \033[31m✗\033[0m"},
		{"no color", []string{"NO_COLOR=0", "TERM=xterm"}, marks, "✓ ✗"},
		{"dumb", []string{"NO_COLOR=", "TERM=dumb"}, marks, "✓ ✗"},
		{"no terminal", []string{"NO_COLOR=", "TERM=xterm"}, "{ " + marks + "; } | cat", "✓ ✗"},
		{"step", []string{"NO_COLOR=", "TERM=xterm"}, "./step.sh compile false", "\033[31m✗\033[0m compile ("},
		{"step without color", []string{"NO_COLOR=1", "TERM=xterm"}, "./step.sh compile false", "✗ compile ("},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shown := terminaltest.Capture(t, func(terminal *os.File) {
				cmd := exec.CommandContext(t.Context(), "sh", "-c", test.script)
				cmd.Env = append(os.Environ(), test.env...)
				cmd.Stdout, cmd.Stderr = terminal, terminal
				_ = cmd.Run() // step.sh runs a command that fails
			})
			if !strings.HasPrefix(shown, test.want) {
				t.Errorf("output is %q, want %q", shown, test.want)
			}
		})
	}
}
