package localinstall

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

const root = "../../.."

// startServer starts an API server of the version that K8S chooses.
func startServer(t *testing.T) *apiserver.Server {
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

func TestRestartKeepsInstallationServing(t *testing.T) {
	s := startServer(t)
	program := filepath.Join(t.TempDir(), "image-webhook")
	if err := Build(t.Context(), root, program, progress.New(io.Discard)); err != nil {
		t.Fatal(err)
	}
	log := &servertest.LockedBuffer{}
	i, err := Install(t.Context(), Options{Server: s, Program: program, Log: log}, progress.New(os.Stderr))
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() { _ = i.Stop() })
	jobs, err := i.client.BatchV1().Jobs("image-webhook").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(jobs.Items) > 0 {
		t.Errorf("%d Jobs exist, %v, want none", len(jobs.Items), err)
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
	for text, want := range map[string]int{
		"Secret image-webhook/webhook-tls created": 1,
		"failurePolicy Fail":                       1,
		"msg=serving":                              2,
		"msg=stopped":                              1, // Restart kills the first process
	} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("the log has %q %d times, want %d:\n%s", text, got, want, log)
		}
	}
}

func TestFailedStartShowsOutput(t *testing.T) {
	program := filepath.Join(t.TempDir(), "image-webhook")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"no $1\" >&2\nexit 2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := StartProcess(t.Context(), program, []string{"certificate"}, io.Discard)
	var output strings.Builder
	subprocess.Print(&output, "tool", err)
	if diff := cmp.Diff("tool: image-webhook: exit status 2\n  | no certificate\n", output.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestRelocateReplacesDirectoryOfFiles(t *testing.T) {
	args := []string{"serve", "--tls-cert=/tls/cert", "--tls-key=/tls/key", "--server-addr=:8443", "--x=/tlsx"}
	want := []string{"serve", "--tls-cert=/run/v/cert", "--tls-key=/run/v/key", "--server-addr=:8443", "--x=/tlsx"}
	if diff := cmp.Diff(want, relocate(args, "/tls", "/run/v")); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}
