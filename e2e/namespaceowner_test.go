package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	ownerController = "app.kubernetes.io/component=namespace-owner" // label of the controller's pods
	ownerReason     = `{.status.conditions[?(@.type=="image-webhook.dev/OwnerBound")].reason}`
	holdLabel       = "e2e.image-webhook.dev/hold"
)

// These specs install the manifests for the owners of namespaces, which no other spec uses, and
// remove them at the end. kubectl impersonates alice and bob, who can only create namespaces.
var _ = Describe("namespace owner", Label(devCluster), Ordered, ContinueOnFailure, SpecPriority(longSpecPriority), func() {
	var cluster *devcluster.Cluster

	BeforeAll(func(ctx SpecContext) {
		var err error
		cluster, err = devcluster.Open(ctx, target.cluster, progress.New(GinkgoWriter))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(uninstallNamespaceOwner)
		image := get(ctx, &appsv1.Deployment{}, "webhook").Spec.Template.Spec.Containers[0].Image
		Expect(cluster.InstallNamespaceOwner(ctx, image)).To(Succeed())

		const creators = "e2e-namespace-creators"
		DeferCleanup(func(ctx SpecContext) { succeed(ctx, "delete", "clusterrolebinding", creators) })
		succeed(ctx, "delete", "clusterrolebinding", creators, "--ignore-not-found") // of a killed run
		succeed(ctx, "create", "clusterrolebinding", creators, "--clusterrole=image-webhook-namespace-creator", "--user=alice", "--user=bob")
		succeed(ctx, "label", "clusterrolebinding", creators, managedByLabel)
		waitUntilStamped(ctx)
	})

	It("lets a user run a pod in a namespace that the user creates", func(ctx SpecContext) {
		name := ownedName()
		started := time.Now()
		Expect(kubectl(ctx, "create", "namespace", name, "--as=alice")).To(Equal(result{Stdout: "namespace/" + name + " created\n"}))
		waitUntilBound(ctx, name)
		bound := time.Since(started)
		Expect(kubectl(ctx, "run", "web", "--image=nginx:1.25", "-n", name, "--as=alice")).To(Equal(result{Stdout: "pod/web created\n"}))
		succeed(ctx, "wait", "--for=jsonpath={.status.phase}=Running", "pod/web", "-n", name, "--as=alice", "--timeout=60s")
		running := time.Since(started)
		AddReportEntry("seconds after `kubectl create namespace`", fmt.Sprintf("%.1f until the owner has rights, %.1f until the first pod runs", bound.Seconds(), running.Seconds()))

		succeed(ctx, "label", "namespace", name, managedByLabel)
		Expect(get(ctx, &corev1.Namespace{}, name).Annotations).To(HaveKeyWithValue("image-webhook.dev/owner", "alice"))
		expectBound(ctx, []string{name})
		Expect(field(ctx, name, "resourcequota/namespace-owner", ".status.used.pods")).To(Equal("1"))
	})

	runBlocks([]string{ownerPage}, func(ctx SpecContext) {
		removeManualNamespaces(ctx, "--timeout=60s") // of a killed run
		DeferCleanup(removeManualNamespaces, "--wait=false")
	})

	It("completes every step at which its leader was killed", func(ctx SpecContext) {
		holdSteps(ctx)
		held := map[string]string{} // the name of the namespace by the step at which it is held
		for _, step := range []string{"limitranges", "resourcequotas", "rolebindings", "namespaces"} {
			held[step] = createOwned(ctx, holdLabel+"="+step)
		}
		for step, reason := range map[string]string{
			"limitranges": "LimitRangeFailed", "resourcequotas": "ResourceQuotaFailed", "rolebindings": "RoleBindingFailed",
		} {
			Eventually(func() string {
				return kubectl(ctx, "get", "namespace", held[step], "-o", "jsonpath="+ownerReason).Stdout
			}).WithContext(ctx).Should(Equal(reason))
		}
		Eventually(func() string {
			return kubectl(ctx, "get", "rolebindings", "-n", held["namespaces"], "-o", "name").Stdout
		}).WithContext(ctx).ShouldNot(BeEmpty())
		for step, name := range held {
			Expect(tenancy(ctx, name)).To(Equal("pending"), step)
		}

		killed := killLeader(ctx, cluster)
		succeed(ctx, "delete", "-f", "testdata/hold.yaml")
		released := time.Now()
		expectBound(ctx, slices.Collect(maps.Values(held)))
		AddReportEntry("seconds until the namespaces of a killed leader were ready", fmt.Sprintf("%.1f", time.Since(released).Seconds()))
		Expect(leader(ctx)).NotTo(Equal(killed))
	})

	It("makes every namespace ready while all its pods are killed again and again", func(ctx SpecContext) {
		var names []string
		for range 3 {
			var burst []string
			for range 4 {
				burst = append(burst, ownedName())
			}
			names = append(names, burst...)
			created := make(chan result, 1)
			go func() {
				defer GinkgoRecover()
				created <- execKubectl(ctx, manifestOf(burst, nil), "create", "-f", "-", "--as=alice")
			}()
			succeed(ctx, "delete", "pods", "-l", ownerController, "-n", ownNamespace, "--force", "--grace-period=0")
			Expect((<-created).Exit).To(BeZero())
			// A namespace of the burst is ready before the next pods are killed.
			waitUntilBound(ctx, burst[0])
		}
		expectBound(ctx, names)
		succeed(ctx, "rollout", "status", "deployment/namespace-owner", "-n", ownNamespace, "--timeout=60s")
	})

	It("keeps a namespace pending while no controller runs", func(ctx SpecContext) {
		succeed(ctx, "scale", "deployment/namespace-owner", "--replicas=0", "-n", ownNamespace)
		DeferCleanup(func(ctx SpecContext) { startController(ctx) })
		Eventually(func() string {
			return kubectl(ctx, "get", "pods", "-l", ownerController, "-n", ownNamespace, "-o", "name").Stdout
		}).WithContext(ctx).Should(BeEmpty())
		kept, deleted := createOwned(ctx), createOwned(ctx)

		By("check that nobody can use the namespaces, and that they can be deleted")
		for _, name := range []string{kept, deleted} {
			Expect(tenancy(ctx, name)).To(Equal("pending"))
			Expect(kubectl(ctx, "create", "configmap", "prices", "-n", name)).To(Equal(result{
				Stderr: `error: failed to create configmap: configmaps "prices" is forbidden: ` + deniedBy("pending") +
					`namespace "` + name + `" is pending until its owner has rights and a quota: wait with ` +
					"`kubectl wait --for=condition=image-webhook.dev/OwnerBound namespace/" + name + "`\n",
				Exit: 1,
			}))
			Expect(kubectl(ctx, "create", "configmap", "prices", "-n", name, "--as=alice").Stderr).
				To(HaveSuffix(`User "alice" cannot create resource "configmaps" in API group "" in the namespace "` + name + `"` + "\n"))
		}
		succeed(ctx, "delete", "namespace", deleted, "--timeout=60s")

		startController(ctx)
		expectBound(ctx, []string{kept})
		succeed(ctx, "create", "configmap", "prices", "-n", kept)
	})

	It("refuses namespaces of users, and nothing else, while the webhook does not answer", func(ctx SpecContext) {
		owned := createOwned(ctx)
		waitUntilBound(ctx, owned)
		DeferCleanup(func(ctx SpecContext) {
			callService(ctx, "webhook")
			waitUntilStamped(ctx)
		})
		const nowhere = "e2e-no-endpoints"
		DeferCleanup(func(ctx SpecContext) { succeed(ctx, "delete", "service", nowhere, "-n", ownNamespace) })
		succeed(ctx, "delete", "service", nowhere, "-n", ownNamespace, "--ignore-not-found") // of a killed run
		succeed(ctx, "create", "service", "clusterip", nowhere, "--tcp=443", "-n", ownNamespace)
		callService(ctx, nowhere)

		name := ownedName()
		Eventually(func() result { return kubectl(ctx, "create", "namespace", name, "--dry-run=server", "--as=alice") }).WithContext(ctx).Should(Equal(result{
			Stderr: `Error from server (Forbidden): namespaces "` + name + `" is forbidden: ` + deniedBy("create") +
				"the namespace has no owner, because image-webhook did not answer: try again in a moment; administrators find the cause with `kubectl get pods -n image-webhook`\n",
			Exit: 1,
		}))
		succeed(ctx, "create", "configmap", "prices", "-n", owned, "--as=alice")
		succeed(ctx, "create", "namespace", name)
		succeed(ctx, "label", "namespace", name, managedByLabel, "tier=front")
		succeed(ctx, "delete", "namespace", name, "--timeout=60s")
	})

	It("leaves the namespaces of users as they are when it is uninstalled", func(ctx SpecContext) {
		name := createOwned(ctx)
		waitUntilBound(ctx, name)
		uninstallNamespaceOwner(ctx)

		succeed(ctx, "create", "configmap", "prices", "-n", name, "--as=alice")
		Expect(tenancy(ctx, name)).To(Equal("ready"))
		Expect(bindings(ctx, name)).To(HaveExactElements(boundTo("alice")))
		Expect(field(ctx, name, "resourcequota/namespace-owner", ".status.hard.pods")).To(Equal("50"))
		Eventually(func() result { // pods are deleted after their Deployment
			return kubectl(ctx, "get", "all,configmaps,serviceaccounts,poddisruptionbudgets,roles,rolebindings,clusterroles,clusterrolebindings,"+
				"mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings",
				"-A", "-l", "app.kubernetes.io/component in (namespace-owner,patch-namespace-owner)", "-o", "name")
		}).WithContext(ctx).Should(Equal(result{}))
		created := ownedName()
		succeed(ctx, "create", "namespace", created)
		Expect(succeed(ctx, "get", "namespace", created, "-o", "jsonpath={.metadata.annotations}")).To(BeEmpty())
	})
})

// deniedBy returns the start of the message of a policy.
func deniedBy(policy string) string {
	name := "image-webhook-namespace-owner-" + policy
	return "ValidatingAdmissionPolicy '" + name + "' with binding '" + name + "' denied request: "
}

// uninstallNamespaceOwner removes the manifests for the owners of namespaces as users do. Other
// specs may have added a node that kind did not create.
func uninstallNamespaceOwner(ctx SpecContext) {
	GinkgoHelper()
	got := runScript(ctx, "uninstall-namespace-owner.sh", "ANY_CLUSTER=1")
	Expect(got.Exit).To(BeZero(), got.Stdout+got.Stderr)
}

// waitUntilStamped waits until the webhook writes the owner of a new namespace of alice.
func waitUntilStamped(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() string {
		return kubectl(ctx, "create", "namespace", "e2e-probe", "--dry-run=server", "--as=alice", "-o", "jsonpath={.metadata.annotations}").Stdout
	}).WithContext(ctx).Should(Equal(`{"image-webhook.dev/owner":"alice"}`))
}

// ownedName returns the name of a namespace that a user will create. It is deleted after the
// spec.
func ownedName() string {
	GinkgoHelper()
	name := "e2e-owned-" + rand.String(5)
	specNamespaces = append(specNamespaces, name)
	DeferCleanup(func(ctx SpecContext) {
		err := client.Resources().Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if !apierrors.IsNotFound(err) { // the spec may have deleted it, or failed before it existed
			Expect(err).NotTo(HaveOccurred())
		}
	})
	return name
}

// createOwned makes alice create a namespace with additional labels, NAME=VALUE.
func createOwned(ctx context.Context, labels ...string) string {
	GinkgoHelper()
	name := ownedName()
	got := kubectlWith(ctx, manifestOf([]string{name}, labels), "create", "-f", "-", "--as=alice")
	Expect(got.Exit).To(BeZero(), got.Stderr)
	return name
}

// manifestOf returns the manifest of namespaces.
func manifestOf(names, labels []string) string {
	GinkgoHelper()
	merged := labelMap(managedByLabel)
	for _, label := range labels {
		maps.Copy(merged, labelMap(label))
	}
	items := []any{}
	for _, name := range names {
		items = append(items, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": merged}})
	}
	content, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// waitUntilBound waits, as alice, until the owner of namespaces has rights.
func waitUntilBound(ctx context.Context, namespaces ...string) {
	GinkgoHelper()
	args := []string{"wait", "--for=condition=image-webhook.dev/OwnerBound", "--as=alice", "--timeout=60s", "namespace"}
	succeed(ctx, append(args, namespaces...)...)
}

// expectBound waits until namespaces of alice are ready, and asserts that each has one
// RoleBinding.
func expectBound(ctx context.Context, namespaces []string) {
	GinkgoHelper()
	waitUntilBound(ctx, namespaces...)
	for _, name := range namespaces {
		Expect(tenancy(ctx, name)).To(Equal("ready"), name)
		Expect(bindings(ctx, name)).To(HaveExactElements(boundTo("alice")), name)
	}
}

// tenancy returns the label of a namespace that says whether it is pending or ready.
func tenancy(ctx context.Context, namespace string) string {
	GinkgoHelper()
	return get(ctx, &corev1.Namespace{}, namespace).Labels["image-webhook.dev/tenancy"]
}

// binding contains the fields of a RoleBinding that specs compare.
type binding struct {
	name     string
	role     rbacv1.RoleRef
	subjects []rbacv1.Subject
}

// boundTo returns the RoleBinding of an owner.
func boundTo(user string) binding {
	return binding{
		"namespace-owner", rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		[]rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}
}

// bindings returns the RoleBindings of a namespace.
func bindings(ctx context.Context, namespace string) (found []binding) {
	GinkgoHelper()
	var list rbacv1.RoleBindingList
	Expect(client.Resources(namespace).List(ctx, &list)).To(Succeed())
	for _, item := range list.Items {
		found = append(found, binding{item.Name, item.RoleRef, item.Subjects})
	}
	return found
}

// holdSteps makes the API server refuse the writes of the controller that labels of namespaces
// name, until the spec ends or deletes the policy.
func holdSteps(ctx context.Context) {
	GinkgoHelper()
	// The namespace in which the policy is tried becomes ready before the policy exists.
	tried := createOwned(ctx, holdLabel+"=rolebindings")
	waitUntilBound(ctx, tried)
	DeferCleanup(func(ctx SpecContext) { succeed(ctx, "delete", "-f", "testdata/hold.yaml", "--ignore-not-found") })
	succeed(ctx, "apply", "-f", "testdata/hold.yaml")
	Eventually(func() string { // the API server evaluates a new policy after a moment
		return kubectl(ctx, "create", "rolebinding", "namespace-owner", "--clusterrole=admin", "--user=alice", "-n", tried, "--dry-run=server",
			"--as=system:serviceaccount:image-webhook:namespace-owner").Stderr
	}).WithContext(ctx).Should(ContainSubstring("a spec holds this step"))
}

// leader returns the identity of the controller's leader, which begins with the name of its pod.
func leader(ctx context.Context) string {
	GinkgoHelper()
	return field(ctx, ownNamespace, "lease/namespace-owner", ".spec.holderIdentity")
}

// killLeader kills the process of the controller's leader, and returns its identity. The process
// has no time to give up the Lease.
func killLeader(ctx context.Context, cluster *devcluster.Cluster) string {
	GinkgoHelper()
	identity := leader(ctx)
	pod, _, _ := strings.Cut(identity, "_")
	node := field(ctx, ownNamespace, "pod/"+pod, ".spec.nodeName")
	_, container, _ := strings.Cut(field(ctx, ownNamespace, "pod/"+pod, ".status.containerStatuses[0].containerID"), "://")
	Expect(cluster.RunOnNode(ctx, node, "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", container)).To(Succeed())
	return identity
}

// startController starts the replicas of the controller.
func startController(ctx context.Context) {
	GinkgoHelper()
	succeed(ctx, "scale", "deployment/namespace-owner", "--replicas=2", "-n", ownNamespace)
	succeed(ctx, "rollout", "status", "deployment/namespace-owner", "-n", ownNamespace, "--timeout=60s")
}

// callService makes the API server call another Service for new namespaces.
func callService(ctx context.Context, name string) {
	GinkgoHelper()
	succeed(ctx, "patch", "mutatingwebhookconfiguration", "image-webhook-namespace-owner", "--type=json", "-p",
		`[{"op":"replace","path":"/webhooks/0/clientConfig/service/name","value":"`+name+`"},
		  {"op":"replace","path":"/webhooks/1/clientConfig/service/name","value":"`+name+`"}]`)
}

// removeManualNamespaces deletes the namespaces in the blocks of ownerPage.
func removeManualNamespaces(ctx SpecContext, flag string) {
	GinkgoHelper()
	succeed(ctx, "delete", "namespace", "alice-shop", "bob-shop", "--ignore-not-found", flag)
}
