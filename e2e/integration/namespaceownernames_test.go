package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
)

// userNames are names that no label value and no name of an object can contain, or that differ
// only in a detail. Trap: cloudfoundry/korifi#280, kubeflow/kubeflow#4036.
var userNames = []string{
	"user@example.com",
	"oidc:https://issuer.example/a#sub",
	"oidc:Zoë/team a",
	"a:b:c", "a b  c", "a/b", "a%b", "a%2Fb", "a+b", "A/B", "../a", "a\\b", `"a"`, "'a'", "a,b=c", "{a}", "$(a)", "-", " a ",
	"用户/一组", "пользователь", "👩‍💻", "e\u0301", "\u00e9", // the last two look equal
	"system:node:n1", "system:serviceaccount:team-a:deployer",
	strings.Repeat("x", 1000),
	strings.Repeat("é", 500),
}

func TestOwnerIsUserNameByteForByte(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startLiveServer)
	for _, user := range userNames {
		t.Run(clipped(user), func(t *testing.T) {
			t.Parallel()
			name := newName("name")
			if got := ownershipOf(server.createOwned(t, name, user)); got != (ownership{user, "pending"}) {
				t.Fatalf("got ownership %+v, want owner %q, pending", got, user)
			}
			server.waitBound(t, name, user)
			binding, err := server.client.RbacV1().RoleBindings(name).Get(t.Context(), ownedName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
			if diff := cmp.Diff(want, binding.Subjects); diff != "" {
				t.Errorf("subjects differ (-want +got):\n%s", diff)
			}
			waitUntil(t, "the owner can create a ConfigMap", func() bool {
				_, err := server.mustAs(user).CoreV1().ConfigMaps(name).Create(t.Context(), configMap("mine"), metav1.CreateOptions{})
				return err == nil
			})
		})
	}
}

// A tab is the only control character that a header can contain.
func TestUserWithControlCharacterOwnsNothing(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startRulesServer)
	_, err := createNamespaceAs(t.Context(), server.mustAs("a\tb", creators), metav1.ObjectMeta{Name: newName("tab")})
	mustBeDenied(t, err, `user "a\tb" cannot own a namespace: the name contains a control character`)
}

// Trap: kubernetes/kubernetes#57378, groups, UID and other attributes of a user are private.
func TestNamespaceHasOnlyNameOfItsCreator(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startRulesServer)
	config := server.As("alice", creators, "secret-project")
	config.Impersonate.UID = "4f2a"
	config.Impersonate.Extra = map[string][]string{"email": {"alice@example.com"}}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	name := newName("private")
	created, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{ownerAnnotation: "alice"}, created.Annotations); diff != "" {
		t.Errorf("annotations differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{tenancyLabel: "pending", corev1.LabelMetadataName: name}, created.Labels); diff != "" {
		t.Errorf("labels differ (-want +got):\n%s", diff)
	}
}

func TestStewardCannotChooseInvalidOwner(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startRulesServer)
	carol := server.mustAs("carol", writers, stewards)
	existing := server.namespace(t, nil)
	for _, owner := range []string{"", anonymousUser, "a\nb", "a\x00b", "a\x7fb", "a\u0085b", "\t"} {
		meta := metav1.ObjectMeta{Name: newName("invalid"), Annotations: map[string]string{ownerAnnotation: owner}}
		_, err := carol.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
		mustBeDenied(t, err, "invalid owner: use the name of an authenticated user, without control characters")
		meta.Name = existing
		_, err = carol.CoreV1().Namespaces().Update(t.Context(), &corev1.Namespace{ObjectMeta: meta}, metav1.UpdateOptions{})
		mustBeDenied(t, err, "invalid owner: use the name of an authenticated user, without control characters")
	}
}

// clusterNamespaces are the namespaces of the cluster. Trap: CVE-2024-39690, kube-system is
// patched into a tenant.
var clusterNamespaces = []string{"kube-system", "kube-public", "kube-node-lease", "default", "image-webhook"}

func TestNobodyOwnsNamespacesOfCluster(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startRulesServer)
	waitUntil(t, "the namespaces of the cluster exist", func() bool {
		list, err := server.client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		found := map[string]bool{}
		if err == nil {
			for _, n := range list.Items {
				found[n.Name] = true
			}
		}
		for _, name := range clusterNamespaces {
			if !found[name] {
				return false
			}
		}
		return true
	})
	for _, name := range clusterNamespaces {
		for _, r := range requesters {
			if r.standing == exempt {
				continue
			}
			for _, subresource := range []string{"", "status"} {
				patch := []byte(`{"metadata":{"annotations":{"` + ownerAnnotation + `":"alice"}}}`)
				_, err := patchNamespace(t.Context(), server.mustAs(r.user, r.groups...), name, types.MergePatchType, patch, metav1.PatchOptions{}, subresource)
				want := r.refuseUpdate(name, ownership{}, ownership{Owner: "alice"}, false)
				if r.standing == steward {
					want = refusal{`namespace "` + name + `" belongs to the cluster and cannot have an owner`}
				}
				if !isDenialWith(err, want) {
					t.Errorf("%s: got error %v, want a denial that contains one of %q", r.title, err, want)
				}
			}
		}
		if got := ownershipOf(server.get(t, name)); got != (ownership{}) {
			t.Errorf("namespace %s has ownership %+v, want none", name, got)
		}
	}
}
