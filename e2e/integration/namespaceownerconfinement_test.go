package integration

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
)

// theft is a request with the stolen token of the controller.
type theft struct {
	name string
	send func(ctx context.Context, c clientset.Interface, namespace string) error
	// message is a part of the denial by the controller's policy; empty: RBAC, or another policy
	// before that one, refuses the request.
	message string
}

const (
	onlyOwner  = "the controller may only bind the owner"
	onlyNames  = "the controller may only write objects with the name namespace-owner"
	onlyUsers  = "the controller may only write to namespaces of users"
	onlyFields = "the controller may only write the label image-webhook.dev/tenancy and the condition image-webhook.dev/OwnerBound"
)

// bind returns a request that creates a RoleBinding, in another namespace unless it is empty.
func bind(otherNamespace, name string, role rbacv1.RoleRef, subjects ...rbacv1.Subject) func(context.Context, clientset.Interface, string) error {
	return func(ctx context.Context, c clientset.Interface, namespace string) error {
		if otherNamespace != "" {
			namespace = otherNamespace
		}
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: role, Subjects: subjects}
		_, err := c.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
}

// patchBinding returns a request that patches the existing RoleBinding of the owner.
func patchBinding(patch string) func(context.Context, clientset.Interface, string) error {
	return func(ctx context.Context, c clientset.Interface, namespace string) error {
		_, err := c.RbacV1().RoleBindings(namespace).Patch(ctx, ownedName, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
}

// patchStatus returns a request that patches a namespace through its subresource status.
func patchStatus(patch string) func(context.Context, clientset.Interface, string) error {
	return func(ctx context.Context, c clientset.Interface, namespace string) error {
		_, err := patchNamespace(ctx, c, namespace, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		return err
	}
}

func clusterRole(name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
}

func userSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// thefts are requests about a namespace of alice, who is bound. Trap: CVE-2026-22872, a controller
// is the deputy of anyone who can write its input or has its token. Trap: kyverno/kyverno#14278
// and #11358, the controller needs the verb bind and not all rights of the role.
func thefts() []theft {
	alice, mallory := userSubject("alice"), userSubject("mallory")
	group := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "alice"}
	account := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "alice"}
	quota, limits := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}, &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}
	all := []theft{
		{"bind another user", patchBinding(`[{"op":"replace","path":"/subjects/0/name","value":"mallory"}]`), onlyOwner},
		{"bind a second user", patchBinding(`[{"op":"add","path":"/subjects/-","value":{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"mallory"}}]`), onlyOwner},
		{"bind nobody", patchBinding(`[{"op":"remove","path":"/subjects"}]`), onlyOwner},
		{"bind a group with the name of the owner", patchBinding(`[{"op":"replace","path":"/subjects/0/kind","value":"Group"}]`), onlyOwner},
		{"create a RoleBinding with another name", bind("", "mine", clusterRole("admin"), alice), onlyNames},
		{"create a RoleBinding of another user", bind("", ownedName, clusterRole("admin"), mallory), onlyOwner},
		{"create a RoleBinding of a group", bind("", ownedName, clusterRole("admin"), group), onlyOwner},
		{"create a RoleBinding of a service account", bind("", ownedName, clusterRole("admin"), account), onlyOwner},
		{"create a RoleBinding of two users", bind("", ownedName, clusterRole("admin"), alice, mallory), onlyOwner},
		{"bind cluster-admin", bind("", ownedName, clusterRole("cluster-admin"), alice), ""},
		{"bind edit", bind("", ownedName, clusterRole("edit"), alice), ""},
		{"bind a Role", bind("", ownedName, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "admin"}, alice), ""},
		{"create another quota", func(ctx context.Context, c clientset.Interface, namespace string) error {
			_, err := c.CoreV1().ResourceQuotas(namespace).Create(ctx, quota, metav1.CreateOptions{})
			return err
		}, onlyNames},
		{"create another LimitRange", func(ctx context.Context, c clientset.Interface, namespace string) error {
			_, err := c.CoreV1().LimitRanges(namespace).Create(ctx, limits, metav1.CreateOptions{})
			return err
		}, onlyNames},
		{"delete another RoleBinding", func(ctx context.Context, c clientset.Interface, namespace string) error {
			return c.RbacV1().RoleBindings(namespace).Delete(ctx, "other", metav1.DeleteOptions{})
		}, onlyNames},
		{"delete all RoleBindings", func(ctx context.Context, c clientset.Interface, namespace string) error {
			return c.RbacV1().RoleBindings(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		}, ""},
		{"delete its own RoleBinding", func(ctx context.Context, c clientset.Interface, _ string) error {
			return c.RbacV1().RoleBindings("image-webhook").Delete(ctx, ownedName, metav1.DeleteOptions{})
		}, onlyUsers},
		{"become the owner", patchStatus(`{"metadata":{"annotations":{"` + ownerAnnotation + `":"mallory"}}}`), ""},
		{"remove the owner", patchStatus(`{"metadata":{"annotations":{"` + ownerAnnotation + `":null}}}`), ""},
		{"add an annotation", patchStatus(`{"metadata":{"annotations":{"a":"b"}}}`), onlyFields},
		{"add a label", patchStatus(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`), onlyFields},
		{"change a label", patchStatus(`{"metadata":{"labels":{"team":"b"}}}`), onlyFields},
		{"remove a label", patchStatus(`{"metadata":{"labels":{"team":null}}}`), onlyFields},
		{"add a label together with the tenancy", patchStatus(`{"metadata":{"labels":{"a":"b","` + tenancyLabel + `":"pending"}}}`), onlyFields},
		{"add a finalizer", patchStatus(`{"metadata":{"finalizers":["example.com/x"]}}`), onlyFields},
		{"add an owner reference", patchStatus(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Namespace","name":"default","uid":"4f2a"}]}}`), onlyFields},
		{"write another condition", patchStatus(`{"status":{"conditions":[{"type":"NamespaceContentRemaining","status":"True","reason":"a","message":"b"}]}}`), onlyFields},
		{"write the phase", patchStatus(`{"status":{"phase":"Terminating"}}`), ""},
		{"patch the namespace", func(ctx context.Context, c clientset.Interface, namespace string) error {
			_, err := patchNamespace(ctx, c, namespace, types.MergePatchType, []byte(`{"metadata":{"labels":{"`+tenancyLabel+`":"ready"}}}`), metav1.PatchOptions{}, "")
			return err
		}, ""},
		{"finalize the namespace", func(ctx context.Context, c clientset.Interface, namespace string) error {
			_, err := c.CoreV1().Namespaces().Finalize(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.UpdateOptions{})
			return err
		}, ""},
		{"delete the namespace", func(ctx context.Context, c clientset.Interface, namespace string) error {
			return c.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
		}, ""},
		{"create a namespace", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}}, metav1.CreateOptions{})
			return err
		}, ""},
	}
	for _, name := range clusterNamespaces {
		all = append(all, theft{"bind in " + name, bind(name, ownedName, clusterRole("admin"), alice), onlyUsers})
	}
	return append(all, rbacThefts()...)
}

// rbacThefts are requests for which the controller has no rights.
func rbacThefts() []theft {
	role := testRole("stolen", rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}})
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}, RoleRef: clusterRole("admin"), Subjects: []rbacv1.Subject{userSubject("alice")}}
	return []theft{
		{"list Secrets", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
			return err
		}, ""},
		{"read a Secret of image-webhook", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.CoreV1().Secrets("image-webhook").Get(ctx, "webhook-tls", metav1.GetOptions{})
			return err
		}, ""},
		{"read ConfigMaps", func(ctx context.Context, c clientset.Interface, namespace string) error {
			_, err := c.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
			return err
		}, ""},
		{"change its own template", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.CoreV1().ConfigMaps("image-webhook").Update(ctx, configMap(ownedName), metav1.UpdateOptions{})
			return err
		}, ""},
		{"create a pod", func(ctx context.Context, c clientset.Interface, namespace string) error {
			_, err := c.CoreV1().Pods(namespace).Create(ctx, newPod(namespace, "stolen", allowedImage), metav1.CreateOptions{})
			return err
		}, ""},
		{"create a token", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.CoreV1().ServiceAccounts("image-webhook").CreateToken(ctx, ownedName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			return err
		}, ""},
		{"create a ClusterRoleBinding", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
			return err
		}, ""},
		{"create a ClusterRole", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.RbacV1().ClusterRoles().Create(ctx, &role, metav1.CreateOptions{})
			return err
		}, ""},
		{"escalate the ClusterRole admin", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.RbacV1().ClusterRoles().Patch(ctx, "admin", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
			return err
		}, ""},
		{"create a Role", func(ctx context.Context, c clientset.Interface, namespace string) error {
			_, err := c.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: ownedName}}, metav1.CreateOptions{})
			return err
		}, ""},
		{"delete its own policy", func(ctx context.Context, c clientset.Interface, _ string) error {
			return c.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(ctx, "image-webhook-namespace-owner-controller", metav1.DeleteOptions{})
		}, ""},
		{"take another Lease", func(ctx context.Context, c clientset.Interface, _ string) error {
			_, err := c.CoordinationV1().Leases("kube-system").List(ctx, metav1.ListOptions{})
			return err
		}, ""},
	}
}

func TestStolenTokenOfControllerIsConfined(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	name := newName("stolen")
	created, err := server.mustAs("alice", creators).CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": "a"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server.waitBound(t, created.Name, "alice")
	other := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "other"}, RoleRef: clusterRole("view"), Subjects: []rbacv1.Subject{userSubject("bob")}}
	if _, err := server.client.RbacV1().RoleBindings(name).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "admin"}}
	if _, err := server.client.RbacV1().Roles(name).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want, wantNamespace := server.ownedObjects(t, name), server.get(t, name)
	stolen := server.mustAs(controllerUser)
	for _, request := range thefts() {
		t.Run(request.name, func(t *testing.T) {
			err := request.send(t.Context(), stolen, name)
			if request.message != "" {
				mustBeDenied(t, err, request.message)
			} else if !apierrors.IsForbidden(err) && !isInvalidPhase(err) {
				t.Errorf("got error %v, want Forbidden", err)
			}
		})
	}
	if found := server.get(t, name); found.ResourceVersion != wantNamespace.ResourceVersion {
		t.Errorf("the namespace has changed: %+v", found)
	}
	if got := server.ownedObjects(t, name); !equalSpecs(want, got) {
		t.Errorf("the objects have changed: %+v", got)
	}
}

// TestControllerCanBindOwner is the counterpart: the policy allows what the controller does.
func TestControllerCanBindOwner(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startRulesServer)
	name := newName("bindable")
	server.createOwned(t, name, "alice")
	if err := bind("", ownedName, clusterRole("admin"), userSubject("alice"))(t.Context(), server.mustAs(controllerUser), name); err != nil {
		t.Error(err)
	}
	unowned := server.namespace(t, nil)
	mustBeDenied(t, bind("", ownedName, clusterRole("admin"), userSubject("alice"))(t.Context(), server.mustAs(controllerUser), unowned), onlyUsers)
}

// isInvalidPhase reports whether the API server refuses to write a phase, before any policy.
func isInvalidPhase(err error) bool {
	return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "status.Phase")
}
