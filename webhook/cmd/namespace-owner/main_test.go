package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

func runCommand(t *testing.T, args ...string) clitest.Result {
	t.Helper()
	return clitest.RunProgram(t, run, args...)
}

func TestRunRejectsInvalidCommandLines(t *testing.T) {
	dir, missing := t.TempDir(), filepath.Join(t.TempDir(), "none")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"argument", []string{"now"}, 2, `unexpected argument "now": use only flags; see namespace-owner --help`},
		{"unknown flag", []string{"--x"}, 2, "unknown flag: --x"},
		{"empty role", []string{"--cluster-role="}, 2, `--cluster-role: invalid name "": use the name of a ClusterRole, such as admin`},
		{"invalid role", []string{"--cluster-role=a/b"}, 2, `--cluster-role: invalid name "a/b": use the name of a ClusterRole, such as admin`},
		{"no port", []string{"--health-addr=localhost"}, 2, `--health-addr: invalid address "localhost": use [HOST]:PORT, such as :8081`},
		{"no directory", []string{"--template-dir=" + missing}, 2, `--template-dir: "` + missing + `" is not a directory: use the directory with resourcequota.yaml and limitrange.yaml`},
		{"no kubeconfig", []string{"--template-dir=" + dir, "--kubeconfig=" + missing}, 1, "cannot load a cluster configuration: stat " + missing + ": no such file or directory: run in a pod with a service account token, or set --kubeconfig"},
		{"port in use", []string{"--template-dir=" + dir, "--kubeconfig=" + clitest.UnreachableKubeconfig(t), "--health-addr=" + busy.Addr().String()}, 1, "cannot listen on " + busy.Addr().String() + ": listen tcp " + busy.Addr().String() + ": bind: address already in use: choose another address with --health-addr"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := clitest.Result{Code: tt.code, Stderr: "namespace-owner: " + tt.want + "\n"}
			if diff := cmp.Diff(want, runCommand(t, tt.args...)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelpHasValidExamples(t *testing.T) {
	root := func(io.Writer, io.Writer) *cobra.Command { return newCommand() }
	if got := len(clitest.Examples(t, root, "namespace-owner")); got != 2 {
		t.Errorf("%d examples, want 2", got)
	}
	for line := range strings.Lines(runCommand(t, "--help").Stdout) {
		if len(line) > 101 {
			t.Errorf("help has a line of more than 100 columns: %s", line)
		}
	}
}

func TestReadyzNamesTheReason(t *testing.T) {
	var notReady error
	server := httptest.NewServer(probeHandler(func() error { return notReady }))
	defer server.Close()
	for _, tt := range []struct {
		path   string
		err    error
		status int
		body   string
	}{
		{"/readyz", nil, http.StatusOK, "ok\n"},
		{"/readyz", errors.New("the template is invalid"), http.StatusServiceUnavailable, "the template is invalid\n"},
		{"/healthz", errors.New("the template is invalid"), http.StatusOK, "ok\n"},
		{"/other", nil, http.StatusNotFound, "404 page not found\n"},
	} {
		notReady = tt.err
		resp, err := server.Client().Get(server.URL + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || string(body) != tt.body {
			t.Errorf("%s: got %d %q, %v, want %d %q", tt.path, resp.StatusCode, body, err, tt.status, tt.body)
		}
	}
}
