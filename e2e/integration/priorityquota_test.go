package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
)

// limitedPriority is the configuration of an API server that admits pods of a system priority
// class only in namespaces with a quota for that class. GKE has the same limit.
const limitedPriority = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: ResourceQuota
    configuration:
      apiVersion: apiserver.config.k8s.io/v1
      kind: ResourceQuotaConfiguration
      limitedResources:
        - resource: pods
          matchScopes:
            - {scopeName: PriorityClass, operator: In, values: [system-node-critical, system-cluster-critical]}
`

func TestNamespaceAdmitsCriticalPodsWhereTheAPIServerLimitsThem(t *testing.T) {
	t.Parallel()
	server := startWithLimitedPriority(t)
	deployment, err := server.client.AppsV1().Deployments("image-webhook").Get(t.Context(), "webhook", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	template := deployment.Spec.Template
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "webhook-", Labels: template.Labels}, Spec: template.Spec}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err := server.client.CoreV1().Pods("image-webhook").Create(t.Context(), pod, dryRun); err != nil {
		t.Errorf("a replica is not admitted: %v", err)
	}
	pod.Spec.Containers[0].Image = "nginx:1.25"
	const want = "insufficient quota to match these scopes: [{PriorityClass In [system-node-critical system-cluster-critical]}]"
	if _, err := server.client.CoreV1().Pods(server.namespace(t, nil)).Create(t.Context(), pod, dryRun); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a namespace without the quota: got error %v, want %q", err, want)
	}
}

// startWithLimitedPriority starts an API server with limitedPriority, installs the webhook, and
// waits until kube-controller-manager has written the status of the quota, which refuses pods
// before.
func startWithLimitedPriority(t *testing.T) *testServer {
	t.Helper()
	server, err := startServerWith(apiserver.Options{
		Controllers: []string{"resourcequota-controller"},
		Flags: func(dir string) (map[string][]string, error) {
			path := filepath.Join(dir, "admission.yaml")
			return map[string][]string{"admission-control-config-file": {path}}, os.WriteFile(path, []byte(limitedPriority), 0o600)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	if err := server.install(); err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		quota, err := server.client.CoreV1().ResourceQuotas("image-webhook").Get(ctx, "critical-pods", metav1.GetOptions{})
		return err == nil && len(quota.Status.Used) > 0, err
	})
	if err != nil {
		t.Fatalf("wait for the status of the quota: %v", err)
	}
	return server
}
