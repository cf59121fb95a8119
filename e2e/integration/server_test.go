package integration

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// auditLog is the name of the audit log in the API server's directory.
const auditLog = "audit.log"

// auditPolicy logs every request about pods after its response.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    resources: [{group: "", resources: [pods, pods/ephemeralcontainers]}]
  - level: None
`

// standardServer returns the API server that most tests share. It has the webhook, an audit
// log, the plugin AlwaysPullImages, and the default plugins of Kubernetes except
// ServiceAccount, which needs a controller.
func standardServer(t *testing.T) *testServer {
	t.Helper()
	server, err := startStandardServer()
	if err != nil {
		t.Fatal(err)
	}
	return server
}

var startStandardServer = sync.OnceValues(func() (*testServer, error) {
	server, err := startServer(func(dir string) (map[string][]string, error) {
		policy := filepath.Join(dir, "audit-policy.yaml")
		return map[string][]string{
			"enable-admission-plugins": {"AlwaysPullImages"},
			"audit-policy-file":        {policy},
			"audit-log-path":           {filepath.Join(dir, auditLog)},
			"audit-log-mode":           {"blocking"},
		}, os.WriteFile(policy, []byte(auditPolicy), 0o600)
	})
	if err != nil {
		return nil, err
	}
	return server, server.install()
})

func (s *testServer) createNamespace(ctx context.Context, meta metav1.ObjectMeta) (*corev1.Namespace, error) {
	return s.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
}

// namespace creates a namespace for one test and returns its name.
func (s *testServer) namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	created, err := s.createNamespace(t.Context(), metav1.ObjectMeta{GenerateName: "test-", Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	return created.Name
}
