package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// openPrograms returns the programs of the version that K8S chooses.
func openPrograms(t *testing.T) *kubebuild.Programs {
	t.Helper()
	p, err := kubebuild.FromEnvironment(t.Context(), "../../..")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func hostPort(s *Server) string { return s.plane.APIServer.SecureServing.URL("https", "/").Host }

func TestStopRemovesProcessesAndFiles(t *testing.T) {
	p := openPrograms(t)
	s, err := Start(t.Context(), Options{Programs: p}, progress.New(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	client, err := clientset.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil || version.GitVersion != p.Release {
		t.Errorf("version %v, %v, want %s", version, err, p.Release)
	}
	kubeconfig, err := s.KubeconfigAs("system:serviceaccount:default:default")
	if err != nil {
		t.Fatal(err)
	}
	if config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig); err != nil || config.Impersonate.UserName != "system:serviceaccount:default:default" {
		t.Errorf("the kubeconfig does not impersonate the service account: %v", err)
	}
	unprivileged, err := clientset.NewForConfig(s.As("system:serviceaccount:default:default"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unprivileged.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a service account without permissions can list Secrets")
	}
	if kubeconfig, err := s.Kubeconfig(); err != nil || !strings.Contains(string(kubeconfig), hostPort(s)) {
		t.Errorf("the kubeconfig does not name %s: %v", hostPort(s), err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s still exists: %v", s.Dir, err)
	}
	if c, err := net.Dial("tcp", hostPort(s)); err == nil {
		c.Close()
		t.Error("the API server still runs")
	}
}

// starterVariable makes the test binary start a server, print its address and wait.
const starterVariable = "APISERVER_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(starterVariable) == "" {
		os.Exit(m.Run())
	}
	p, err := kubebuild.FromEnvironment(context.Background(), "../../..")
	if err != nil {
		log.Fatal(err)
	}
	s, err := Start(context.Background(), Options{Programs: p, Controllers: []string{"namespace-controller"}}, progress.New(os.Stderr))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hostPort(s))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestProcessesEndWhenStarterIsKilled(t *testing.T) {
	// The orphans become children of this process, which can then wait for them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), starterVariable+"=1")
	starter.Stderr = os.Stderr
	stdout, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := starter.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if started := childrenOf(t, starter.Process.Pid); len(started) != 3 {
		t.Errorf("processes %v, want etcd, kube-apiserver and kube-controller-manager", started)
	}
	if killed := starter.Process.Kill(); err != nil || killed != nil {
		t.Fatal(err, killed)
	}
	_ = starter.Wait() // it was killed, which is an error
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	// The starter may have waited for one of them itself before it ended.
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		_, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		return errors.Is(err, unix.ECHILD), nil
	})
	if err != nil {
		t.Errorf("not all processes have ended: %v", err)
	}
	if c, err := net.Dial("tcp", strings.TrimSpace(line)); err == nil {
		c.Close()
		t.Error("the API server still runs")
	}
}

// childrenOf returns the IDs of the children of a process.
func childrenOf(t *testing.T, pid int) (ids []string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, _ := os.ReadFile(file) // the thread may have ended
		ids = append(ids, strings.Fields(string(content))...)
	}
	return ids
}

func unknownFlag(string) (map[string][]string, error) {
	return map[string][]string{"no-such-flag": {"x"}}, nil
}

func TestFailedStartShowsLogAndLeavesNoFiles(t *testing.T) {
	p := openPrograms(t)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	_, err := Start(t.Context(), Options{Programs: p, Flags: unknownFlag}, progress.New(io.Discard))
	var output strings.Builder
	subprocess.Print(&output, "tool", err)
	for _, want := range []string{"tool: start kube-apiserver: ", "unknown flag: --no-such-flag"} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("no %q in the output:\n%s", want, output.String())
		}
	}
	if files, err := os.ReadDir(filepath.Join(cache, "image-webhook", "controlplane", "runs")); err != nil || len(files) > 0 {
		t.Errorf("files left: %v, %v", files, err)
	}
}

func TestNewRunDirRemovesUnlockedDirectories(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	leftover, release, err := NewRunDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release() // the kernel does this when a process ends
	used, releaseUsed, err := NewRunDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer releaseUsed()
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s still exists: %v", leftover, err)
	}
	_, releaseThird, err := NewRunDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer releaseThird()
	if _, err := os.Stat(used); err != nil {
		t.Errorf("a locked directory was removed: %v", err)
	}
}

func TestTailReturnsLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("a line\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tail(path)
	if len(got) > tailSize || !strings.HasPrefix(got, "a line\n") || !strings.HasSuffix(got, "a line\n") {
		t.Errorf("%d bytes, %q…", len(got), got[:20])
	}
	if got := tail(path + "s"); got != "" {
		t.Errorf("got %q for a missing log", got)
	}
}
