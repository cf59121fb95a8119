package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

// auditOutcome is the output and the error of the verb audit.
type auditOutcome struct{ Stdout, Stderr, Err string }

func runAudit(t *testing.T, args ...string) (auditOutcome, error) {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := newAudit()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	o := auditOutcome{stdout.String(), stderr.String(), ""}
	if err != nil {
		o.Err = err.Error()
	}
	return o, err
}

// serveCluster starts an API server with one pod, and without the webhook. Some paths are forbidden.
func serveCluster(t *testing.T, forbidden ...string) (url string) {
	t.Helper()
	lists := map[string]string{
		"/api/v1/namespaces": `{"metadata":{"name":"shop"}}`,
		"/api/v1/pods":       `{"metadata":{"name":"a","namespace":"shop"},"spec":{"containers":[{"name":"web","image":"nginx:1.25"}]}}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for _, path := range forbidden {
			if r.URL.Path == path {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no rights","reason":"Forbidden","code":403}`)
				return
			}
		}
		fmt.Fprintf(w, `{"items":[%s]}`, lists[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAuditResultsAreErrors(t *testing.T) {
	t.Setenv("KUBECONFIG", clitest.UnreachableKubeconfig(t))
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\ndisallowedTags: ['1.25']\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const notInstalled = "modes: as in the manifests of this version, because image-webhook is not installed\n\n"
	for _, tt := range []struct {
		name      string
		args      []string
		forbidden []string
		want      error
		stdout    string
	}{
		{"nothing", []string{"--disallowed-tags=latest"}, nil, nil,
			"policy: flags of the command line\n" + notInstalled + "mode deny: 0 of 1 pod in 1 namespace would be refused if they were created today\n"},
		{"refused", []string{"--config=" + policy}, nil, exitFailure, "policy: " + policy + ", version 567146ee7cf4\n" + notInstalled + `NAMESPACE  MODE  OWNER  PODS  USED BY        IMAGE       REASON
shop       deny  pod/a  1     container web  nginx:1.25  tag "1.25" is not allowed because its image can change

mode deny: 1 of 1 pod in 1 namespace would be refused if they were created today; owners to change: 1
`},
		{"incomplete", []string{"--config=" + policy}, []string{"/apis/batch/v1/jobs", "/apis/batch/v1/namespaces/shop/jobs"}, exitUsage, ""},
		{"JSON", []string{"--config=" + policy, "-ojson"}, nil, exitFailure, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := runAudit(t, append(tt.args, "--server="+serveCluster(t, tt.forbidden...))...)
			if !errors.Is(err, tt.want) || got.Stderr != "" {
				t.Errorf("got error %v and standard error %q, want %v", err, got.Stderr, tt.want)
			}
			if diff := cmp.Diff(tt.stdout, got.Stdout); tt.stdout != "" && diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAuditFailures(t *testing.T) {
	t.Setenv("KUBECONFIG", clitest.UnreachableKubeconfig(t))
	url := serveCluster(t, "/apis/apps/v1/namespaces/image-webhook/deployments/webhook")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"shop"}, `unexpected argument "shop"`},
		{[]string{"-oyaml"}, `--output: invalid format "yaml": use wide or json, or omit the flag`},
		{[]string{"--disallowed-tags=a b"}, `--disallowed-tags: `},
		{nil, "https://127.0.0.1:1 does not answer: dial tcp 127.0.0.1:1: connect: connection refused: run kubectl cluster-info"},
		{[]string{"-s", url}, "cannot read the policy of the cluster: deployment/webhook in namespace image-webhook: no rights: use --config with a policy file"},
	} {
		got, _ := runAudit(t, tt.args...)
		if got.Stdout != "" || !strings.HasPrefix(got.Err, tt.want) {
			t.Errorf("%v: got %+v, want the error %s", tt.args, got, tt.want)
		}
	}
}
