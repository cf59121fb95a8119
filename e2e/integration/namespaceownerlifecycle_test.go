package integration

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// canCreate waits until a user can create a ConfigMap in a namespace. Trap: rancher/rancher#13703
// and rancher/terraform-provider-rancher2#750, the authorizer's cache may lag for a moment.
func (s *ownerServer) canCreate(t *testing.T, namespace, user string) {
	t.Helper()
	waitUntil(t, user+" can create a ConfigMap in namespace "+namespace, func() bool {
		_, err := s.mustAs(user).CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap(newName("mine")), metav1.CreateOptions{})
		return err == nil
	})
}

// cannotCreate waits until RBAC refuses that a user creates a ConfigMap in a namespace.
func (s *ownerServer) cannotCreate(t *testing.T, namespace, user string) {
	t.Helper()
	waitUntil(t, user+" cannot create a ConfigMap in namespace "+namespace, func() bool {
		_, err := s.mustAs(user).CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap(newName("mine")), metav1.CreateOptions{})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), fmt.Sprintf("User %q cannot create resource", user))
	})
}

// Trap: kubeflow/kubeflow#4890, a hand-over must revoke the rights of the previous owner.
func TestHandOverMovesRights(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := newName("handover")
	server.createOwned(t, name, "alice")
	server.waitBound(t, name, "alice")
	server.canCreate(t, name, "alice")
	server.cannotCreate(t, name, "bob")
	server.patchOwner(t, name, "bob")
	server.waitBound(t, name, "bob")
	server.canCreate(t, name, "bob")
	server.cannotCreate(t, name, "alice")
	server.waitEvent(t, "default", name, "OwnerBound", `"bob"`)
}

// An owner may write RoleBindings, and must not be able to keep the rights with one that has
// the name of the controller's.
func TestHandOverReplacesForgedRoleBinding(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	for what, ref := range map[string]rbacv1.RoleRef{
		"ClusterRole view":      {APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		"Role of the same name": {APIGroup: rbacv1.GroupName, Kind: "Role", Name: "admin"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			name := newName("forged")
			server.createOwned(t, name, "alice")
			server.waitBound(t, name, "alice")
			server.canCreate(t, name, "alice")
			if _, err := server.client.RbacV1().Roles(name).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "admin"}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			// The test does what alice can do with a second RoleBinding of hers.
			bindings := server.client.RbacV1().RoleBindings(name)
			forged := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: ownedName}, RoleRef: ref, Subjects: []rbacv1.Subject{userSubject("alice")}}
			waitUntil(t, "the RoleBinding is replaced before the controller restores it", func() bool {
				if err := bindings.Delete(t.Context(), ownedName, metav1.DeleteOptions{}); err != nil {
					return false
				}
				_, err := bindings.Create(t.Context(), forged, metav1.CreateOptions{})
				return err == nil
			})
			server.patchOwner(t, name, "bob")
			server.waitBound(t, name, "bob")
			server.canCreate(t, name, "bob")
			server.cannotCreate(t, name, "alice")
		})
	}
}

func TestRemovedOwnerLosesRights(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := newName("removed")
	server.createOwned(t, name, "alice")
	server.waitBound(t, name, "alice")
	server.canCreate(t, name, "alice")
	server.patchOwner(t, name, "")
	server.waitReleased(t, name)
	server.cannotCreate(t, name, "alice")
	if _, err := server.client.CoreV1().ResourceQuotas(name).Get(t.Context(), ownedName, metav1.GetOptions{}); err != nil {
		t.Errorf("the quota of a namespace that may be in use: %v", err)
	}
}

// waitReleased waits until a namespace has no owner, RoleBinding, label and condition.
func (s *ownerServer) waitReleased(t *testing.T, name string) {
	t.Helper()
	waitUntil(t, "namespace "+name+" is released", func() bool {
		_, err := s.client.RbacV1().RoleBindings(name).Get(t.Context(), ownedName, metav1.GetOptions{})
		found := s.get(t, name)
		return apierrors.IsNotFound(err) && ownershipOf(found) == ownership{} && conditionOf(found).Status == ""
	})
}

func TestStewardAdoptsNamespace(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := server.namespace(t, map[string]string{"team": "a"})
	if _, err := server.client.CoreV1().ConfigMaps(name).Create(t.Context(), configMap("before"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	server.patchOwner(t, name, "alice")
	server.waitBound(t, name, "alice")
	server.canCreate(t, name, "alice")
	if got := server.get(t, name).Labels["team"]; got != "a" {
		t.Errorf("label team is %q, want %q", got, "a")
	}
	server.patchOwner(t, name, "")
	server.waitReleased(t, name)
}

// Trap: a namespace is deleted while it is being bound, and another user creates it again. The
// rights of the first owner must not reach the second namespace. Trap: kyverno/kyverno#7145, the
// second namespace gets no quota; kyverno/kyverno#7724, the deletion of one removes the objects
// of all.
func TestRecreatedNamespaceBelongsToItsNewOwner(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	bystander := newName("bystander")
	server.createOwned(t, bystander, "dave")
	server.waitBound(t, bystander, "dave")
	want := server.ownedObjects(t, bystander)
	t.Run("several", func(t *testing.T) {
		for i := range 6 {
			name := newName("recreated")
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				server.recreate(t, name, want, i%2 == 0)
			})
		}
	})
	if diff := gocmp.Diff(want, server.ownedObjects(t, bystander)); diff != "" {
		t.Errorf("objects of another namespace differ (-want +got):\n%s", diff)
	}
}

// recreate deletes a namespace of alice, at once or when she is bound, and checks the one that bob
// then creates.
func (s *ownerServer) recreate(t *testing.T, name string, want ownedSpecs, wait bool) {
	t.Helper()
	first := s.createOwned(t, name, "alice")
	if wait {
		s.waitBound(t, name, "alice")
	}
	if err := s.client.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var second *corev1.Namespace
	waitUntil(t, "bob has created the namespace again", func() bool {
		var err error
		second, err = createNamespaceAs(t.Context(), s.mustAs("bob", creators), metav1.ObjectMeta{Name: name})
		return err == nil
	})
	if first.UID == second.UID {
		t.Fatal("the namespace was not deleted")
	}
	s.waitBound(t, name, "bob")
	s.mustNeverHaveBound(t, second, "alice")
	if diff := gocmp.Diff(want.Quota, s.ownedObjects(t, name).Quota); diff != "" {
		t.Errorf("the quota differs (-want +got):\n%s", diff)
	}
}

// mustNeverHaveBound checks that no version of the RoleBinding of a namespace named a user since
// the namespace was created.
func (s *ownerServer) mustNeverHaveBound(t *testing.T, namespace *corev1.Namespace, user string) {
	t.Helper()
	bindings := s.client.RbacV1().RoleBindings(namespace.Name)
	events, err := bindings.Watch(t.Context(), metav1.ListOptions{ResourceVersion: namespace.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	// The watch has sent everything when it sends this object.
	last := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "last"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}}
	if _, err := bindings.Create(t.Context(), last, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for event := range events.ResultChan() {
		binding, ok := event.Object.(*rbacv1.RoleBinding)
		if !ok {
			t.Fatalf("watch RoleBindings: %v", event.Object)
		}
		if binding.Name == last.Name {
			return
		}
		for _, subject := range binding.Subjects {
			if subject.Name == user && event.Type != watch.Deleted {
				t.Errorf("RoleBinding %s bound %q", binding.Name, user)
			}
		}
	}
	t.Error("the watch of RoleBindings has ended")
}

// Trap: akuity/kargo#6443.
func TestReadyNamespaceIsDeletedCompletely(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := newName("deleted")
	server.createOwned(t, name, "alice")
	server.waitBound(t, name, "alice")
	if err := server.mustAs("erin", writers).CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the namespace is gone", func() bool {
		_, err := server.client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
