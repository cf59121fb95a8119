package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// auditLog is the file of the audit log in the API server's folder.
const auditLog = "audit.log"

// auditPolicy has the API server note every request about pods, once it is answered.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    resources: [{group: "", resources: [pods, pods/ephemeralcontainers]}]
  - level: None
`

// standard is the API server of most tests: with the webhook, with the plugins that
// Kubernetes has on by default but for ServiceAccount, which needs a controller, with
// AlwaysPullImages and with an audit log. Before the webhook came, there were the pods
// of the matrix.
func standard(t *testing.T) *plane {
	t.Helper()
	p, err := startStandard()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var startStandard = sync.OnceValues(func() (*plane, error) {
	p, err := start(func(dir string) (map[string][]string, error) {
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
	for _, m := range modes {
		if _, err := p.createNamespace(all, metav1.ObjectMeta{Name: m.namespace(), Labels: m.labels()}); err != nil {
			return nil, err
		}
	}
	if err := p.createOlder(all); err != nil {
		return nil, fmt.Errorf("create what is older than the webhook: %w", err)
	}
	return p, p.install()
})

func (p *plane) createNamespace(ctx context.Context, meta metav1.ObjectMeta) (*corev1.Namespace, error) {
	return p.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
}

// namespace makes a namespace for one test.
func (p *plane) namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	made, err := p.createNamespace(t.Context(), metav1.ObjectMeta{GenerateName: "test-", Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	return made.Name
}

// createOlder brings in what the matrix changes later.
func (p *plane) createOlder(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, c := range cases() {
		group.Go(func() error { return c.prepare(ctx, p) })
	}
	return group.Wait()
}
