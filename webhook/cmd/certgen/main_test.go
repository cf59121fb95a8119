package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRunReturnsExitCodeAndOneLine(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // as outside of a pod
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	unreachable := filepath.Join(t.TempDir(), "kubeconfig")
	closed := httptest.NewServer(nil)
	closed.Close()
	config := "apiVersion: v1\nkind: Config\ncurrent-context: c\n" +
		"contexts: [{name: c, context: {cluster: c, user: u}}]\n" +
		"users: [{name: u, user: {}}]\n" +
		"clusters: [{name: c, cluster: {server: '" + closed.URL + "'}}]\n"
	if err := os.WriteFile(unreachable, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	create := []string{"create", "--host=a", "--namespace=ns", "--secret-name=tls"}
	for name, test := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"help":            {args: []string{"--help"}, code: 0},
		"no command":      {args: nil, code: 2, stderr: "certgen: no command: use create, patch or renew\n"},
		"unknown command": {args: []string{"rotate"}, code: 2, stderr: "certgen: unknown command \"rotate\": use create, patch or renew\n"},
		"unknown flag":    {args: append(create, "--days=3"), code: 2, stderr: "certgen: create: unknown flag: --days: see certgen create --help\n"},
		"missing kubeconfig": {
			args: append(create, "--kubeconfig="+missing), code: 1,
			stderr: "certgen: cannot load a cluster configuration: stat " + missing + ": no such file or directory: run in a pod with a service account token, or set --kubeconfig\n",
		},
		"unreachable API server": {args: append(create, "--kubeconfig="+unreachable), code: 1, stderr: "certgen: MutatingWebhookConfiguration image-webhook: Get \"http://"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := run(t.Context(), test.args, &stdout, &stderr)
			if code != test.code {
				t.Errorf("got exit code %d, want %d", code, test.code)
			}
			got := stderr.String()
			if !strings.HasSuffix(test.stderr, "\n") && strings.HasPrefix(got, test.stderr) && strings.Count(got, "\n") == 1 {
				got = test.stderr
			}
			if diff := cmp.Diff(test.stderr, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
