package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// verify runs `kubectl image-webhook policy --static --verify` and returns its exit code and its output except
// for the cost and the paths of the files.
func (s *testServer) verify(t *testing.T, directory string, args ...string) (code int, output string) {
	t.Helper()
	kubeconfig, err := s.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, file, kubeconfig)
	command := exec.CommandContext(t.Context(), buildPlugin(t),
		append([]string{"policy", "--registry-mirrors=docker.mirror.example", "--static=" + directory, "--static-path=" + directory, "--verify", "--kubeconfig=" + file}, args...)...)
	text, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "wrote ") && !strings.HasPrefix(line, "estimated cost ") {
			output += serverName.ReplaceAllString(line, "")
		}
	}
	return command.ProcessState.ExitCode(), output
}

// serverName matches the name of the API server.
var serverName = regexp.MustCompile(`^API server \S+:\d+: `)

func TestVerifyAsksTheAPIServer(t *testing.T) {
	t.Parallel()
	s := startStaticServer(t, staticPolicy)
	elsewhere := t.TempDir()
	const (
		other = " has loaded other files: copy the files to the node, or read in the API server's log why it does not load them"
		once  = "--verify-timeout=1s"
	)
	for _, tt := range []struct {
		name      string
		directory string
		args      []string
		code      int
		want      string
	}{
		{"new files", s.files, nil, 0, "has loaded these files\n"},
		{"the same files", s.files, []string{once}, 0, "has loaded these files\n"},
		{"other rules", s.files, []string{"--exempt-images=quay.io"}, 0, "has loaded these files\n"},
		{"files elsewhere", elsewhere, []string{once, "--disallowed-tags=dev"}, 1, "ValidatingAdmissionPolicy" + other + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if code, output := s.verify(t, tt.directory, tt.args...); code != tt.code || output != tt.want {
				t.Errorf("exit code %d, output %q, want %d, %q", code, output, tt.code, tt.want)
			}
		})
	}
	t.Run("without rights", func(t *testing.T) {
		directory := filepath.Join(t.TempDir(), "new")
		code, output := s.verify(t, directory, "--as=nobody")
		const start, end = "kubectl image-webhook: --verify: the API server refuses MutatingAdmissionPolicy image-webhook.static.k8s.io: ", ": no file was written: see kubectl image-webhook policy --help\n"
		if code != 2 || !strings.HasPrefix(output, start) || !strings.HasSuffix(output, end) {
			t.Errorf("exit code %d, output %q", code, output)
		}
		if _, err := os.Stat(directory); err == nil {
			t.Error("the directory was written")
		}
	})
}

func TestVerifyNamesAnAPIServerWithoutFiles(t *testing.T) {
	t.Parallel()
	staticFlags(t, "") // skips the test on Kubernetes 1.35
	code, output := standardServer(t).verify(t, t.TempDir(), "--verify-timeout=1s")
	if want := "reads no files: start it with --admission-control-config-file\n"; code != 1 || output != want {
		t.Errorf("exit code %d, output %q, want %q", code, output, want)
	}
}
