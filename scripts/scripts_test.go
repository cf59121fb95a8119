// Package scripts tests what the scripts say and refuse, without a cluster. What they
// do to one is tested by e2e, and shown by `make demo`.
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

// said is what a script printed, and how it ended.
type said struct {
	Code           int
	Stdout, Stderr string
}

// run runs a script, without a cluster unless env names one.
func run(t *testing.T, script string, args []string, env ...string) said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), script, args...)
	cmd.Env = append(os.Environ(), append([]string{"ANY_CLUSTER=", "KUBECONFIG=/dev/null"}, env...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// folder is that of the scripts, seen from another one.
const folder = "../scripts/"

// programs are the scripts that a person may run.
func programs(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(folder + "*.sh")
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

func TestHelp(t *testing.T) {
	named := regexp.MustCompile(`(?:scripts|deploy)/[a-z/-]+\.sh`)
	for _, script := range programs(t) {
		got := run(t, script, []string{"--help"}, "PATH="+path(t, "bash", "sh", "dirname", "sed"))
		if got.Code != 0 || got.Stderr != "" || !strings.Contains(got.Stdout, "\nExamples:\n  # ") {
			t.Errorf("%s --help: exit code %d, %s\n%s", script, got.Code, got.Stderr, got.Stdout)
		}
		for _, example := range named.FindAllString(got.Stdout, -1) {
			if info, err := os.Stat("../" + example); err != nil || info.Mode()&0o100 == 0 {
				t.Errorf("%s --help names %s, which nobody can run", script, example)
			}
		}
	}
}

func TestWhatIsTypedWrongly(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		folder + "step.sh":                       {[]string{"name"}, "../scripts/step.sh: expected NAME COMMAND [ARG...]: see ../scripts/step.sh --help\n"},
		folder + "compile-tests.sh":              {}, // takes what go build takes
		folder + "release.sh":                    {[]string{"image"}, "../scripts/release.sh: expected IMAGE VERSION: see ../scripts/release.sh --help\n"},
		folder + "release-manifests.sh":          {nil, "../scripts/release-manifests.sh: expected IMAGE: see ../scripts/release-manifests.sh --help\n"},
		folder + "release-notes.sh":              {nil, "../scripts/release-notes.sh: expected VERSION: see ../scripts/release-notes.sh --help\n"},
		folder + "push-image.sh":                 {[]string{"image"}, "../scripts/push-image.sh: expected REFERENCE ARCHIVE...: see ../scripts/push-image.sh --help\n"},
		"../deploy/image-policy/certificates.sh": {nil, "usage: ../deploy/image-policy/certificates.sh FOLDER, such as /etc/kubernetes/image-webhook\n"},
	}
	for _, script := range programs(t) {
		test, other := tests[script]
		if !other {
			test.args = []string{"--all"}
			test.want = fmt.Sprintf("%s: unexpected argument \"--all\": see %[1]s --help\n", script)
		}
		if test.want == "" {
			continue
		}
		if diff := cmp.Diff(said{2, "", test.want}, run(t, script, test.args)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", script, test.args, diff)
		}
	}
}

// byHand are the scripts that work on the cluster that kubectl points at.
var byHand = []string{"outage.sh", "deny.sh", "install.sh", "mirror.sh", "rewrite.sh", "uninstall.sh"}

// path is a PATH with these programs and no other.
func path(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range programs {
		found, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(found, filepath.Join(dir, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMissingProgramsAreNamed(t *testing.T) {
	bare := "PATH=" + path(t, "bash", "sh", "dirname")
	for _, script := range byHand {
		want := said{1, "", folder + script + ": there is no kubectl on the PATH: eval \"$(bin/cluster env)\" brings the one of `make up`\n"}
		if diff := cmp.Diff(want, run(t, folder+script, nil, bare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
	for script, args := range map[string][]string{"verify.sh": nil, "test.sh": nil, "compile-tests.sh": nil, "step.sh": {"compile", "go", "build"}} {
		want := said{1, "", folder + script + ": there is no go on the PATH: https://go.dev/dl has it\n"}
		if diff := cmp.Diff(want, run(t, folder+script, args, bare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
}

// fakeKubectl answers for a cluster, and notes what it was asked for.
const fakeKubectl = `#!/bin/sh
echo "$1 $2" >>"$ASKED"
case "$1 $2" in
"get nodes") printf "$NODES"; exit "$EXIT" ;;
"config current-context") echo production ;;
esac
`

// No script does anything to a cluster that is not known to be kind's: all it does is
// look which one it is.
func TestOtherClustersAreLeftAlone(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte(fakeKubectl), 0o700); err != nil {
		t.Fatal(err)
	}
	const (
		meant = "set ANY_CLUSTER=1 if you mean this cluster"
		reach = "`make up` makes one, and eval \"$(bin/cluster env)\" points kubectl at it"
	)
	tests := []struct {
		name  string
		nodes string // what `kubectl get nodes` says
		exit  string // and how it ends
		want  string
	}{
		{"of a cloud", `ip-1 aws:///eu-west-1/i-0\n`, "0", "node ip-1 of the cluster production is none of kind's: " + meant},
		{"of a cloud, too", `one kind://docker/one/one\nip-1 aws:///eu-west-1/i-0\n`, "0", "node ip-1 of the cluster production is none of kind's: " + meant},
		{"of no provider", `bare \n`, "0", "node bare of the cluster production is none of kind's: " + meant},
		{"no nodes", "", "0", "the cluster production has no nodes, so it is none of kind's: " + meant},
		{"not reached", `E1122 memcache.go\nUnable to connect to the server\n`, "1", "kubectl reaches no cluster whose nodes it may list (Unable to connect to the server): " + reach},
		{"no context", `The connection to the server localhost:8080 was refused\n`, "1", "kubectl reaches no cluster whose nodes it may list (The connection to the server localhost:8080 was refused): " + reach},
	}
	for _, test := range tests {
		for _, script := range byHand {
			asked := filepath.Join(t.TempDir(), "asked")
			got := run(t, folder+script, nil, "PATH="+bin+":"+os.Getenv("PATH"), "ASKED="+asked, "NODES="+test.nodes, "EXIT="+test.exit)
			if diff := cmp.Diff(said{1, "", folder + script + ": " + test.want + "\n"}, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", test.name, script, diff)
			}
			checkOnlyLooked(t, test.name+", "+script, asked)
		}
	}
}

func checkOnlyLooked(t *testing.T, name, asked string) {
	t.Helper()
	log, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if line != "get nodes\n" && line != "config current-context\n" {
			t.Errorf("%s: kubectl %s", name, line)
		}
	}
}

// The marks are those of package progress.
func TestMarks(t *testing.T) {
	const marks = `. ./shared.sh; choose_marks 1; printf "%s %s" "$done_mark" "$failed_mark"`
	tests := []struct {
		name   string
		env    []string
		script string
		want   string // what is shown begins with it
	}{
		{"terminal", []string{"NO_COLOR=", "TERM=xterm"}, marks, "\033[32m✓\033[0m \033[31m✗\033[0m"},
		{"no colour", []string{"NO_COLOR=0", "TERM=xterm"}, marks, "✓ ✗"},
		{"dumb", []string{"NO_COLOR=", "TERM=dumb"}, marks, "✓ ✗"},
		{"no terminal", []string{"NO_COLOR=", "TERM=xterm"}, "{ " + marks + "; } | cat", "✓ ✗"},
		{"a step", []string{"NO_COLOR=", "TERM=xterm"}, "./step.sh compile false", "\033[31m✗\033[0m compile ("},
		{"a step without colour", []string{"NO_COLOR=1", "TERM=xterm"}, "./step.sh compile false", "✗ compile ("},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shown := terminaltest.Shown(t, func(terminal *os.File) {
				cmd := exec.CommandContext(t.Context(), "sh", "-c", test.script)
				cmd.Env = append(os.Environ(), test.env...)
				cmd.Stdout, cmd.Stderr = terminal, terminal
				_ = cmd.Run() // one is there to fail
			})
			if !strings.HasPrefix(shown, test.want) {
				t.Errorf("it shows %q, want %q", shown, test.want)
			}
		})
	}
}
