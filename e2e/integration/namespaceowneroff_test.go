package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
)

func TestNothingHappensToNamespacesWithoutTheFeature(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	_, mutating := server.configurations(t)
	for _, c := range mutating {
		if strings.Contains(c.Name, ownedName) {
			t.Errorf("MutatingWebhookConfiguration %s is installed", c.Name)
		}
	}
	selector := metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=" + ownedName}
	policies, err := server.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), selector)
	if err != nil || len(policies.Items) > 0 {
		t.Errorf("%d policies are installed, error %v, want none", len(policies.Items), err)
	}
	bindings, err := server.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().List(t.Context(), selector)
	if err != nil || len(bindings.Items) > 0 {
		t.Errorf("%d bindings of policies are installed, error %v, want none", len(bindings.Items), err)
	}
	for _, meta := range []metav1.ObjectMeta{{}, {Annotations: map[string]string{ownerAnnotation: "bob"}, Labels: map[string]string{tenancyLabel: "ready"}}} {
		server.mustCreateUnchanged(t, meta)
	}
	log, err := os.ReadFile(filepath.Join(server.Dir, webhookLog))
	if err != nil || strings.Contains(string(log), "stamped") {
		t.Errorf("the log says that the webhook has stamped a namespace, error %v", err)
	}
}

// mustCreateUnchanged creates a namespace as alice and changes it, and checks that it is stored as
// it was sent.
func (s *testServer) mustCreateUnchanged(t *testing.T, meta metav1.ObjectMeta) {
	t.Helper()
	meta.Name = newName("off")
	role := testRole(meta.Name, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"create", "patch"}})
	if _, err := s.client.RbacV1().ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: meta.Name}, RoleRef: clusterRole(meta.Name), Subjects: []rbacv1.Subject{userSubject("alice")}}
	if _, err := s.client.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	alice, err := clientset.NewForConfig(s.As("alice"))
	if err != nil {
		t.Fatal(err)
	}
	var created *corev1.Namespace
	waitUntil(t, "alice has created the namespace", func() bool { // when the authorizer knows her role
		created, err = alice.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
		return err == nil
	})
	want := map[string]string{corev1.LabelMetadataName: meta.Name}
	for key, value := range meta.Labels {
		want[key] = value
	}
	if diff := cmp.Diff([]map[string]string{meta.Annotations, want}, []map[string]string{created.Annotations, created.Labels}); diff != "" {
		t.Errorf("annotations and labels differ (-want +got):\n%s", diff)
	}
	patch := []byte(`{"metadata":{"annotations":{"` + ownerAnnotation + `":"carol"},"labels":{"` + tenancyLabel + `":"pending"}}}`)
	if _, err := patchNamespace(t.Context(), alice, meta.Name, types.MergePatchType, patch, metav1.PatchOptions{}, ""); err != nil {
		t.Error(err)
	}
}
