package localinstall

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const root = "../../.."

// server is a running API server of the version that K8S names.
func server(t *testing.T) *apiserver.Server {
	t.Helper()
	programs, err := kubebuild.FromEnvironment(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := apiserver.Start(t.Context(), apiserver.Options{Programs: programs}, progress.New(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestInstallRestartAndStop(t *testing.T) {
	s := server(t)
	program := filepath.Join(t.TempDir(), "image-webhook")
	if err := Build(t.Context(), root, program, progress.New(io.Discard)); err != nil {
		t.Fatal(err)
	}
	log := &safeBuffer{}
	i, err := Install(t.Context(), Options{Server: s, Program: program, Log: log}, progress.New(os.Stderr))
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() { _ = i.Stop() })
	jobs, err := i.client.BatchV1().Jobs("image-webhook").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(jobs.Items) > 0 {
		t.Errorf("%d Jobs are left, %v", len(jobs.Items), err)
	}
	if err := i.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := probe.WaitServing(t.Context(), s.Config, &progress.Step{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if err := i.Stop(); err != nil {
		t.Error(err)
	}
	for said, want := range map[string]int{
		"Secret image-webhook/webhook-tls was not there: created": 1,
		"failurePolicy Fail": 1,
		"msg=serving":        2,
		"msg=stopped":        1, // the one before was replaced, which takes no time
	} {
		if got := strings.Count(log.String(), said); got != want {
			t.Errorf("the log says %q %d times, not %d:\n%s", said, got, want, log)
		}
	}
}

// A webhook that does not come up shows its own words.
func TestStartProcessFails(t *testing.T) {
	program := filepath.Join(t.TempDir(), "image-webhook")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"no $1\" >&2\nexit 2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := StartProcess(t.Context(), program, []string{"way"}, io.Discard)
	var said strings.Builder
	subprocess.Print(&said, "tool", err)
	if diff := cmp.Diff("tool: image-webhook: exit status 2\n  | no way\n", said.String()); diff != "" {
		t.Errorf("it says (-want +got):\n%s", diff)
	}
}

func TestMoved(t *testing.T) {
	args := []string{"serve", "--tls-cert=/tls/cert", "--tls-key=/tls/key", "--server-addr=:8443", "--x=/tlsx"}
	want := []string{"serve", "--tls-cert=/run/v/cert", "--tls-key=/run/v/key", "--server-addr=:8443", "--x=/tlsx"}
	if diff := cmp.Diff(want, moved(args, "/tls", "/run/v")); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}

// safeBuffer is a buffer for several writers.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
