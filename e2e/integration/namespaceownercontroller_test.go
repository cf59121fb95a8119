package integration

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ownerWrite contains the tested fields of a write in the audit log.
type ownerWrite struct {
	User             auditUser `json:"user"`
	ImpersonatedUser auditUser `json:"impersonatedUser"`
	ObjectRef        struct {
		Resource, Subresource, Namespace, Name string
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

type auditUser struct {
	Username string `json:"username"`
}

// writes returns the successful writes of the logged objects of a namespace, in order.
func (s *ownerServer) writes(t *testing.T, namespace string) (writes []ownerWrite) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.Dir, auditLog))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		var event ownerWrite
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the API server is still writing this line
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		if ref := event.ObjectRef; event.ResponseStatus.Code < 300 && (ref.Namespace == namespace || ref.Resource == "namespaces" && ref.Name == namespace) {
			writes = append(writes, event)
		}
	}
	return writes
}

// describe returns the user and the resource of a write.
func (w ownerWrite) describe() string {
	path := w.ObjectRef.Resource
	if w.ObjectRef.Subresource != "" {
		path += "/" + w.ObjectRef.Subresource
	}
	return cmp.Or(w.ImpersonatedUser.Username, w.User.Username) + " " + path
}

func TestControllerWritesObjectsInOrder(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := newName("order")
	server.createOwned(t, name, "alice")
	server.waitBound(t, name, "alice")
	// Trap: projectcapsule/capsule#501, the rules refuse the controller itself.
	want := []string{
		controllerUser + " limitranges",
		controllerUser + " resourcequotas",
		"system:serviceaccount:kube-system:resourcequota-controller resourcequotas/status",
		controllerUser + " rolebindings",
		controllerUser + " namespaces/status",
	}
	var got []string
	waitUntil(t, "the audit log has the last write", func() bool {
		got = nil
		for _, w := range server.writes(t, name) {
			if !slices.Contains(got, w.describe()) { // a cache that is behind may repeat an apply
				got = append(got, w.describe())
			}
		}
		return slices.Contains(got, want[len(want)-1])
	})
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("writes differ (-want +got):\n%s", diff)
	}
}

// Trap: the built-in ClusterRole admin lets owners write and delete RoleBindings. It lets them
// neither write quotas and limit ranges, nor change and delete the namespace.
func TestOwnerCannotWriteQuotaAndNamespace(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := newName("owner")
	server.createOwned(t, name, "alice")
	server.waitBound(t, name, "alice")
	server.canCreate(t, name, "alice")
	alice, label := server.mustAs("alice", creators), []byte(`{"metadata":{"labels":{"a":"b"}}}`)
	for what, send := range map[string]func() error{
		"patch the quota": func() error {
			_, err := alice.CoreV1().ResourceQuotas(name).Patch(t.Context(), ownedName, types.MergePatchType, label, metav1.PatchOptions{})
			return err
		},
		"delete the quota": func() error {
			return alice.CoreV1().ResourceQuotas(name).Delete(t.Context(), ownedName, metav1.DeleteOptions{})
		},
		"delete the LimitRange": func() error {
			return alice.CoreV1().LimitRanges(name).Delete(t.Context(), ownedName, metav1.DeleteOptions{})
		},
		"patch the namespace": func() error {
			_, err := alice.CoreV1().Namespaces().Patch(t.Context(), name, types.MergePatchType, label, metav1.PatchOptions{})
			return err
		},
		"delete the namespace": func() error { return alice.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}) },
	} {
		if err := send(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: got error %v, want Forbidden", what, err)
		}
	}
	// Trap: rancher/rancher#27750, a quota on cpu or memory refuses pods without requests.
	if _, err := alice.CoreV1().Pods(name).Create(t.Context(), newPod(name, "web", allowedImage), metav1.CreateOptions{}); err != nil {
		t.Errorf("a pod without requests and limits: %v", err)
	}
}

func TestControllerRestoresObjects(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	for what, damage := range map[string]func(t *testing.T, name string) error{
		"a RoleBinding that the owner has deleted": func(t *testing.T, name string) error {
			server.canCreate(t, name, "alice")
			return server.mustAs("alice").RbacV1().RoleBindings(name).Delete(t.Context(), ownedName, metav1.DeleteOptions{})
		},
		"a RoleBinding with another subject": func(t *testing.T, name string) error {
			patch := []byte(`[{"op":"add","path":"/subjects/-","value":{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"mallory"}}]`)
			_, err := server.client.RbacV1().RoleBindings(name).Patch(t.Context(), ownedName, types.JSONPatchType, patch, metav1.PatchOptions{})
			return err
		},
		"a deleted ResourceQuota": func(t *testing.T, name string) error {
			return server.client.CoreV1().ResourceQuotas(name).Delete(t.Context(), ownedName, metav1.DeleteOptions{})
		},
		"an edited ResourceQuota": func(t *testing.T, name string) error {
			patch := []byte(`{"spec":{"hard":{"pods":"9999"}}}`)
			_, err := server.client.CoreV1().ResourceQuotas(name).Patch(t.Context(), ownedName, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		},
		"a deleted LimitRange": func(t *testing.T, name string) error {
			return server.client.CoreV1().LimitRanges(name).Delete(t.Context(), ownedName, metav1.DeleteOptions{})
		},
		"an edited LimitRange": func(t *testing.T, name string) error {
			patch := []byte(`{"spec":{"limits":[{"type":"Container","default":{"memory":"1Gi"}}]}}`)
			_, err := server.client.CoreV1().LimitRanges(name).Patch(t.Context(), ownedName, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			name := newName("damaged")
			server.createOwned(t, name, "alice")
			server.waitBound(t, name, "alice")
			want := server.ownedObjects(t, name)
			if err := damage(t, name); err != nil {
				t.Fatal(err)
			}
			var diff string
			waitUntil(t, "the objects are restored", func() bool {
				diff = gocmp.Diff(want, server.ownedObjects(t, name))
				return diff == ""
			})
			if got := ownershipOf(server.get(t, name)); got != (ownership{"alice", "ready"}) {
				t.Errorf("got ownership %+v, want ready", got)
			}
		})
	}
}

// ownedSpecs contains the specs of the controller's objects in a namespace; nil: the object does
// not exist.
type ownedSpecs struct {
	Quota    *corev1.ResourceQuotaSpec
	Limits   *corev1.LimitRangeSpec
	Role     *rbacv1.RoleRef
	Subjects []rbacv1.Subject
}

// ownedObjects reads the objects of the controller.
func (s *ownerServer) ownedObjects(t *testing.T, namespace string) (specs ownedSpecs) {
	t.Helper()
	quota, quotaErr := s.client.CoreV1().ResourceQuotas(namespace).Get(t.Context(), ownedName, metav1.GetOptions{})
	limits, limitsErr := s.client.CoreV1().LimitRanges(namespace).Get(t.Context(), ownedName, metav1.GetOptions{})
	binding, bindingErr := s.client.RbacV1().RoleBindings(namespace).Get(t.Context(), ownedName, metav1.GetOptions{})
	for _, err := range []error{quotaErr, limitsErr, bindingErr} {
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	if quotaErr == nil {
		specs.Quota = &quota.Spec
	}
	if limitsErr == nil {
		specs.Limits = &limits.Spec
	}
	if bindingErr == nil {
		specs.Role, specs.Subjects = &binding.RoleRef, binding.Subjects
	}
	return specs
}

// Trap: kubernetes/kubernetes#129960. The controller sets the label to ready, which must not
// conflict with the next apply of a user either.
func TestApplyOfReadyNamespaceChangesNothing(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	for what, sent := range map[string]ownership{"without an owner": {}, "with the owner": {Owner: "alice"}} {
		name := newName("applied")
		namespace := &corev1.Namespace{ObjectMeta: sent.meta(name)}
		alice := server.mustAs("alice", creators, writers)
		if _, err := applyNamespace(t.Context(), alice, namespace, "", false); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		server.waitBound(t, name, "alice")
		before := server.get(t, name)
		after, err := applyNamespace(t.Context(), alice, namespace, "", false)
		if err != nil || after.ResourceVersion != before.ResourceVersion || ownershipOf(after) != (ownership{"alice", "ready"}) {
			t.Errorf("%s: a repeated apply: error %v, ownership %+v, changed: %t", what, err, ownershipOf(after), after.ResourceVersion != before.ResourceVersion)
		}
	}
}

// Trap: projectcapsule/capsule#1895, RBAC answers 403 for a missing namespace if a user has no
// rights on all namespaces. The role of creators has them, so that kubectl can wait.
func TestCreatorSeesMissingNamespace(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	if _, err := server.mustAs("alice", creators).CoreV1().Namespaces().Get(t.Context(), "missing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a creator: got error %v, want NotFound", err)
	}
	if _, err := server.mustAs("alice").CoreV1().Namespaces().Get(t.Context(), "missing", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another user: got error %v, want Forbidden", err)
	}
}

func TestQuotaRefusesTooManyObjects(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := newName("limited")
	server.createOwned(t, name, "alice")
	server.waitBound(t, name, "alice")
	server.canCreate(t, name, "alice")
	pod := newPod(name, "web", allowedImage)
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100")}
	waitUntil(t, "the quota refuses a pod", func() bool {
		_, err := server.mustAs("alice").CoreV1().Pods(name).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: "+ownedName)
	})
}

func equalSpecs(a, b ownedSpecs) bool { return gocmp.Equal(a, b) }
