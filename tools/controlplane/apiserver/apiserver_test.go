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

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// programs are those of the version that K8S names.
func programs(t *testing.T) *kubebuild.Programs {
	t.Helper()
	p, err := kubebuild.FromEnvironment(t.Context(), "../../..")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStartAndStop(t *testing.T) {
	p := programs(t)
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
		t.Errorf("it says %v, %v, not %s", version, err, p.Release)
	}
	anybody, err := clientset.NewForConfig(s.As("system:serviceaccount:default:default"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anybody.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a service account without rights may list Secrets")
	}
	if kubeconfig, err := s.Kubeconfig(); err != nil || !strings.Contains(string(kubeconfig), s.URL().Host) {
		t.Errorf("the kubeconfig does not lead to %s: %v", s.URL(), err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was left: %v", s.Dir, err)
	}
	if c, err := net.Dial("tcp", s.URL().Host); err == nil {
		c.Close()
		t.Error("the API server goes on")
	}
}

// hold has the test binary start a server, say where, and wait.
const hold = "APISERVER_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(hold) == "" {
		os.Exit(m.Run())
	}
	p, err := kubebuild.FromEnvironment(context.Background(), "../../..")
	if err != nil {
		log.Fatal(err)
	}
	s, err := Start(context.Background(), Options{Programs: p}, progress.New(os.Stderr))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.URL().Host)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// Nothing outlives the process that started it, even if that is killed.
func TestKilled(t *testing.T) {
	// What it leaves becomes a child of this process, which can then wait for it.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), hold+"=1")
	holder.Stderr = os.Stderr
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if killed := holder.Process.Kill(); err != nil || killed != nil {
		t.Fatal(err, killed)
	}
	_ = holder.Wait() // it was killed
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	ended := 0
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid > 0 {
			ended++
		}
		return errors.Is(err, unix.ECHILD), nil
	})
	if err != nil || ended != len(Needs) {
		t.Errorf("%d processes ended, not etcd and kube-apiserver: %v", ended, err)
	}
	if c, err := net.Dial("tcp", strings.TrimSpace(line)); err == nil {
		c.Close()
		t.Error("the API server goes on")
	}
}

func unknownFlag(string) (map[string][]string, error) {
	return map[string][]string{"no-such-flag": {"x"}}, nil
}

// What does not come up says why, and leaves nothing.
func TestStartFails(t *testing.T) {
	p := programs(t)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	_, err := Start(t.Context(), Options{Programs: p, Flags: unknownFlag}, progress.New(io.Discard))
	var said strings.Builder
	subprocess.Print(&said, "tool", err)
	for _, want := range []string{"tool: start kube-apiserver: ", "unknown flag: --no-such-flag"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, said.String())
		}
	}
	if left, err := os.ReadDir(filepath.Join(cache, "image-webhook", "controlplane", "runs")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

func TestFoldersOfTheDeadAreRemoved(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	left, freeLeft, err := NewFolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	freeLeft() // as the kernel does when a process ends
	owned, free, err := NewFolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was left: %v", left, err)
	}
	_, freeThird, err := NewFolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer freeThird()
	if _, err := os.Stat(owned); err != nil {
		t.Errorf("somebody's folder is gone: %v", err)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("a line\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tail(path)
	if len(got) > tailSize || !strings.HasPrefix(got, "a line\n") || !strings.HasSuffix(got, "a line\n") {
		t.Errorf("%d bytes, %q…", len(got), got[:20])
	}
	if got := tail(path + "s"); got != "" {
		t.Errorf("of no log: %q", got)
	}
}
