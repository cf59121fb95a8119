package integration

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// The dev cluster has the plugin DenyServiceExternalIPs instead: see e2e/attacks_test.go.
func TestDocumentedPolicyDeniesNewExternalIPs(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	namespace := server.namespace(t, nil)
	services := server.client.CoreV1().Services(namespace)
	service := func(name string, externalIPs ...string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}, ExternalIPs: externalIPs},
		}
	}
	existing, err := services.Create(t.Context(), service("existing", "192.0.2.1"), metav1.CreateOptions{})
	mustAdmit(t, err)
	server.applyDocumentedPolicy(t)

	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err = services.Create(ctx, service("new", "192.0.2.1"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil, nil
	})
	if err != nil {
		t.Fatalf("wait until the policy is enforced: %v", err)
	}
	const denial = "ValidatingAdmissionPolicy 'deny-external-ips' with binding 'deny-external-ips' denied request: new externalIPs are not allowed"
	_, err = services.Create(t.Context(), service("new", "192.0.2.1"), metav1.CreateOptions{})
	mustDenyService(t, err, denial)
	existing.Labels = map[string]string{"tier": "front"}
	existing, err = services.Update(t.Context(), existing, metav1.UpdateOptions{})
	mustAdmit(t, err)
	existing.Spec.ExternalIPs = append(existing.Spec.ExternalIPs, "192.0.2.2")
	_, err = services.Update(t.Context(), existing, metav1.UpdateOptions{})
	mustDenyService(t, err, denial)
	_, err = services.Create(t.Context(), service("ordinary"), metav1.CreateOptions{})
	mustAdmit(t, err)
}

func mustDenyService(t *testing.T, err error, message string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("got error %v, want %q", err, message)
	}
}

// applyDocumentedPolicy creates the objects of the block external-ips.yaml in docs/operations.md
// until the test ends.
func (s *testServer) applyDocumentedPolicy(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := markdown.Parse(content).Blocks
	i := slices.IndexFunc(blocks, func(b markdown.Block) bool { return strings.Contains(b.Text, "# external-ips.yaml") })
	if i < 0 {
		t.Fatal("docs/operations.md has no block external-ips.yaml")
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(blocks[i].Text)), len(blocks[i].Text))
	for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); err != nil {
			t.Fatal(err)
		}
		objects := s.objects.Resource(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: resource})
		if _, err := objects.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatalf("create %s: %v", resource, err)
		}
		t.Cleanup(func() {
			if err := objects.Delete(context.Background(), object.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}
