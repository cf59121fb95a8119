package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// TestPendingNamespace runs without a resourcequota-controller: namespaces stay pending until the
// test writes the status of their quotas. The parts run one after the other, because they depend
// on the template of the controller, which the last one changes.
func TestPendingNamespace(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startPendingServer)
	if !server.unchanged.CompareAndSwap(true, false) {
		t.Skip("the template was changed: the test can run only once per API server")
	}
	for _, part := range []struct {
		name string
		test func(*testing.T, *ownerServer)
	}{
		{"nothing can be created in it", testGate},
		{"it can be deleted", testDeletePending},
		{"kubectl waits for it as the denial says", testWaitCommand},
		{"it stays pending until the status of its quota is complete", testIncompleteQuota},
		{"the cluster's namespaces get no objects", testClusterNamespaces},
		{"a change of the template reaches all namespaces", testChangedTemplate},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, server) })
	}
}

// gatedObjects are objects that nobody can create in a pending namespace.
var gatedObjects = map[schema.GroupVersionResource]string{
	{Version: "v1", Resource: "configmaps"}:      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"}}`,
	{Version: "v1", Resource: "secrets"}:         `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"NAME"}}`,
	{Version: "v1", Resource: "serviceaccounts"}: `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"NAME"}}`,
	{Version: "v1", Resource: "events"}:          `{"apiVersion":"v1","kind":"Event","metadata":{"name":"NAME"},"involvedObject":{"kind":"Pod","namespace":"NAMESPACE","name":"web"}}`,
	{Version: "v1", Resource: "resourcequotas"}:  `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"NAME"}}`,
	pods:        strings.ReplaceAll(podWith(`"containers":[{"name":"it","image":"IMAGE"}]`), "IMAGE", allowedImage),
	deployments: workloadManifest("Deployment"),
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}:        `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"NAME"}}`,
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"NAME"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"}}`,
}

// createIn creates an object of gatedObjects as a user.
func createIn(t *testing.T, config *rest.Config, resource schema.GroupVersionResource, namespace, name string) error {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	manifest := strings.NewReplacer("NAMESPACE", namespace, "NAME", name).Replace(gatedObjects[resource])
	_, err = createObject(t.Context(), client.Resource(resource).Namespace(namespace), []byte(manifest))
	return err
}

func testGate(t *testing.T, server *ownerServer) {
	name := newName("gate")
	server.createOwned(t, name, "alice")
	message := `namespace "` + name + `" is pending until its owner has rights and a quota: wait with ` +
		"`kubectl wait --for=condition=" + ownerCondition + " namespace/" + name + "`"
	for resource := range gatedObjects {
		t.Run(resource.Resource, func(t *testing.T) {
			t.Parallel()
			mustBeDenied(t, createIn(t, server.As("root", admins), resource, name, "denied"), message)
			mustBeDenied(t, createIn(t, server.As("system:serviceaccount:operators:operator", admins), resource, name, "denied"), message)
			for user, config := range map[string]*rest.Config{
				"masters":  server.As("kubernetes-admin", mastersGroup),
				"kcm":      server.As("system:kube-controller-manager", admins),
				"operator": server.As("system:serviceaccount:kube-system:operator", admins),
			} {
				if err := createIn(t, config, resource, name, "by-"+user); err != nil {
					t.Errorf("%s: %v", user, err)
				}
			}
		})
	}
	t.Run("serviceaccounts/token", func(t *testing.T) {
		t.Parallel()
		if _, err := server.client.CoreV1().ServiceAccounts(name).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := server.mustAs("root", admins).CoreV1().ServiceAccounts(name).CreateToken(t.Context(), "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		mustBeDenied(t, err, message)
	})
}

// testWaitCommand runs the command of the denial as the owner, while the test completes the quota.
func testWaitCommand(t *testing.T, server *ownerServer) {
	name := newName("waiting")
	server.createOwned(t, name, "alice")
	_, err := server.mustAs("root", admins).CoreV1().ConfigMaps(name).Create(t.Context(), configMap("denied"), metav1.CreateOptions{})
	mustBeDenied(t, err)
	command := regexp.MustCompile("`kubectl (.*)`").FindStringSubmatch(fmt.Sprint(err))
	if command == nil {
		t.Fatalf("the denial names no command: %v", err)
	}
	programs, err := kubebuild.FromEnvironment(t.Context(), root)
	if err == nil {
		err = programs.Build(t.Context(), reporter(), "kubectl")
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := server.KubeconfigAs("alice")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, kubeconfig, content)
	args := append([]string{programs.Path("kubectl"), "--kubeconfig=" + kubeconfig, "--as=alice", "--as-group=" + creators}, strings.Fields(command[1])...)
	done := make(chan error, 1)
	go func() {
		_, err := subprocess.Command{Args: args}.Output(t.Context())
		done <- err
	}()
	server.completeQuota(t, name, "alice")
	if err := <-done; err != nil {
		t.Errorf("%q: %v", args, err)
	}
}

// Trap: akuity/kargo#6443.
func testDeletePending(t *testing.T, server *ownerServer) {
	for user, groups := range map[string][]string{"root": {admins}, "erin": {writers}, "carol": {writers, stewards}} {
		name := newName("deleted")
		server.createOwned(t, name, "alice")
		if err := server.mustAs(user, groups...).CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	name := newName("deleted")
	server.createOwned(t, name, "alice")
	err := server.mustAs("alice", creators).CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{})
	if !apierrors.IsForbidden(err) || isPolicyDenial(err) {
		t.Errorf("user without the right to delete namespaces: got error %v, want a denial by RBAC", err)
	}
}

// Trap: kubernetes/kubernetes#73698, a quota without a status admits everything.
func testIncompleteQuota(t *testing.T, server *ownerServer) {
	name := newName("quota")
	server.createOwned(t, name, "alice")
	message := server.waitCondition(t, name, "WaitingForQuota")
	if !strings.Contains(message, "ResourceQuota namespace-owner is not in force yet") {
		t.Errorf("the condition has the message %q", message)
	}
	server.mustNotBind(t, name)
	quota, err := server.client.CoreV1().ResourceQuotas(name).Get(t.Context(), ownedName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	used := corev1.ResourceList{}
	server.writeQuotaStatus(t, quota, quota.Spec.Hard, used) // without used
	server.mustStayPending(t, name)
	for resourceName := range quota.Spec.Hard {
		if len(used) == len(quota.Spec.Hard)-1 {
			server.writeQuotaStatus(t, quota, quota.Spec.Hard, used)
			server.mustStayPending(t, name)
		}
		used[resourceName] = resource.MustParse("0")
	}
	stale := quota.Spec.Hard.DeepCopy()
	stale[corev1.ResourcePods] = resource.MustParse("49")
	server.writeQuotaStatus(t, quota, stale, used) // of an older spec
	server.mustStayPending(t, name)
	server.writeQuotaStatus(t, quota, quota.Spec.Hard, used)
	server.waitBound(t, name, "alice")
}

// writeQuotaStatus writes the status of a quota, like the resourcequota-controller.
func (s *ownerServer) writeQuotaStatus(t *testing.T, quota *corev1.ResourceQuota, hard, used corev1.ResourceList) {
	t.Helper()
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": corev1.ResourceQuotaStatus{Hard: hard, Used: used}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CoreV1().ResourceQuotas(quota.Namespace).Patch(t.Context(), quota.Name, types.JSONPatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// completeQuota writes a complete status of the quota of a namespace when it exists, whose
// namespace then becomes ready.
func (s *ownerServer) completeQuota(t *testing.T, namespace, owner string) {
	t.Helper()
	var quota *corev1.ResourceQuota
	waitUntil(t, "namespace "+namespace+" has a quota", func() (exists bool) {
		var err error
		quota, err = s.client.CoreV1().ResourceQuotas(namespace).Get(t.Context(), ownedName, metav1.GetOptions{})
		return err == nil
	})
	used := corev1.ResourceList{}
	for name := range quota.Spec.Hard {
		used[name] = resource.MustParse("0")
	}
	s.writeQuotaStatus(t, quota, quota.Spec.Hard, used)
	s.waitBound(t, namespace, owner)
}

// mustStayPending makes the controller process a namespace again, and checks that it is still
// pending and has no RoleBinding.
func (s *ownerServer) mustStayPending(t *testing.T, name string) {
	t.Helper()
	s.process(t, name)
	s.mustNotBind(t, name)
}

// process changes the condition of a namespace, which the controller then restores.
func (s *ownerServer) process(t *testing.T, name string) {
	t.Helper()
	want := conditionOf(s.get(t, name)).Reason
	patch := []byte(`{"status":{"conditions":[{"type":"` + ownerCondition + `","status":"False","reason":"Changed","message":"by the test"}]}}`)
	if _, err := s.client.CoreV1().Namespaces().Patch(t.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the condition of namespace "+name+" is restored", func() bool { return conditionOf(s.get(t, name)).Reason == want })
}

// mustNotBind checks that a namespace is pending and has no RoleBinding.
func (s *ownerServer) mustNotBind(t *testing.T, name string) {
	t.Helper()
	if found := s.get(t, name); found.Labels[tenancyLabel] != "pending" || conditionOf(found).Status != corev1.ConditionFalse {
		t.Errorf("namespace %s: tenancy %q, condition %+v, want pending and False", name, found.Labels[tenancyLabel], conditionOf(found))
	}
	if _, err := s.client.RbacV1().RoleBindings(name).Get(t.Context(), ownedName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the RoleBinding of namespace %s: got error %v, want NotFound", name, err)
	}
}

// testClusterNamespaces shows that an exempt user who makes a mistake, or
// anyone who can write the input of the controller, cannot use its rights against the cluster.
// Trap: CVE-2026-22872.
func testClusterNamespaces(t *testing.T, server *ownerServer) {
	for _, name := range []string{"kube-system", "kube-public"} {
		set := func(value string) {
			patch := []byte(`{"metadata":{"annotations":{"` + ownerAnnotation + `":` + value + `}}}`)
			if _, err := patchNamespace(t.Context(), server.client, name, types.MergePatchType, patch, metav1.PatchOptions{}, ""); err != nil {
				t.Fatal(err)
			}
		}
		set(`"mallory"`)
		if message := server.waitCondition(t, name, "LimitRangeFailed"); !strings.Contains(message, onlyUsers) {
			t.Errorf("namespace %s: the condition has the message %q", name, message)
		}
		server.waitEvent(t, "default", name, "LimitRangeFailed", onlyUsers)
		if got := server.ownedObjects(t, name); !equalSpecs(got, ownedSpecs{}) {
			t.Errorf("namespace %s has objects: %+v", name, got)
		}
		set("null")
		server.waitReleased(t, name)
	}
}
