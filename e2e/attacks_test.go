package e2e

import (
	"context"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/e2e-framework/klient"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

const (
	clusterCritical = "system-cluster-critical"
	nodeCritical    = "system-node-critical"
)

// author is a user with ClusterRole edit in one namespace.
const author = "e2e-author"

// These specs repeat attacks on the availability of the webhook. They are Serial, because an
// attack that succeeds stops every replica, and so all other specs.
var _ = Describe("author of pods", Label(devCluster), Serial, func() {
	var (
		namespace string
		asAuthor  klient.Client
	)

	BeforeEach(func(ctx SpecContext) {
		DeferCleanup(waitUntilRecovered) // registered first, so it runs when the attack has ended
		namespace = newNamespace(ctx)
		DeferCleanup(func(ctx SpecContext) { deletePods(ctx, namespace) })
		succeed(ctx, "create", "rolebinding", author, "--clusterrole=edit", "--user="+author, "-n", namespace)
		asAuthor = impersonate(author)
	})

	It("cannot preempt the webhook with pods of class system-cluster-critical", func(ctx SpecContext) {
		before, nodes := serverNames(ctx), allNodes(ctx)
		var attackers []*corev1.Pod
		for _, server := range servers(ctx) {
			attackers = append(attackers, criticalPod(namespace, clusterCritical, server.Spec.NodeName, roomWithout(ctx, nodes, server.Spec.NodeName, isServer)))
		}
		for _, pod := range attackers {
			Expect(asAuthor.Resources().Create(ctx, pod)).To(Succeed())
		}
		for _, pod := range attackers {
			Eventually(func() string { return schedulingProblem(ctx, pod) }).WithContext(ctx).
				Should(ContainSubstring("preemption: 0/%d nodes are available", len(nodes)), "the scheduler finds no pod to preempt")
		}
		Expect(serverNames(ctx)).To(Equal(before))
		webhookServes(ctx)
	})

	// The class does not protect the webhook from the only higher class. The quotas do: see the last
	// spec.
	It("stops the webhook with a pod of class system-node-critical on each node until these pods are deleted", func(ctx SpecContext) {
		nodes := allNodes(ctx)
		for _, node := range nodes {
			room := roomWithout(ctx, nodes, node.Name, func(pod corev1.Pod) bool { return pod.Spec.PriorityClassName == clusterCritical })
			Expect(asAuthor.Resources().Create(ctx, criticalPod(namespace, nodeCritical, node.Name, room))).To(Succeed())
		}
		waitUntilNoServerAnswers(ctx, dryRuns)
		deletePods(ctx, namespace) // needs no replica
		waitUntilRecovered(ctx)
	})

	It("cannot keep new pods of the webhook and of its Jobs Pending with an anti-affinity", func(ctx SpecContext) {
		node := allNodes(ctx)[0].Name
		removeJobs(ctx)
		for _, commands := range [][2]string{ // the new servers use the Secret that the Job of 06 expects
			{"rollout restart deployment/webhook", "rollout status deployment/webhook"},
			{"create -f " + manifest("03-certgen.yaml"), "wait --for=condition=complete job/certgen"},
			{"create -f " + formManifest("06-patch-webhookconfigure.yaml"), "wait --for=condition=complete job/patch-webhookconfigure"},
		} {
			attacker := repellingPod(namespace, node)
			Expect(asAuthor.Resources().Create(ctx, attacker)).To(Succeed())
			succeed(ctx, "wait", "--for=condition=Ready", "pod/"+attacker.Name, "-n", namespace, "--timeout=60s")
			succeed(ctx, append(strings.Fields(commands[0]), "-n", ownNamespace)...)
			succeed(ctx, append(strings.Fields(commands[1]), "-n", ownNamespace, "--timeout=60s")...)
			succeed(ctx, "wait", "--for=delete", "pod/"+attacker.Name, "-n", namespace, "--timeout=60s")
		}
	})

	It("cannot redirect the address of the webhook to a Service", func(ctx SpecContext) {
		address := get(ctx, &corev1.Service{}, "webhook").Spec.ClusterIP
		const denial = "Use of external IPs is denied by admission control"
		claim := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "claim-", Namespace: namespace},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443}}},
		}
		Expect(asAuthor.Resources().Create(ctx, withExternalIP(claim, address))).To(MatchError(ContainSubstring(denial)))
		Eventually(func() error { return asAuthor.Resources().Create(ctx, claim) }).WithContext(ctx).Should(Succeed())
		Expect(asAuthor.Resources().Update(ctx, withExternalIP(claim, address))).To(MatchError(ContainSubstring(denial)))
		claim.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		Expect(asAuthor.Resources().UpdateStatus(ctx, claim)).To(MatchError(ContainSubstring(`cannot update resource "services/status"`)))
	})

	It("cannot create these pods in a namespace with the quotas of docs/operations.md", func(ctx SpecContext) {
		got := kubectlWith(ctx, documentedQuotas(), "apply", "-f", "-", "-n", namespace)
		Expect(got.Exit).To(BeZero(), got.Stderr)
		for _, attack := range []struct {
			pod   *corev1.Pod
			quota string
		}{
			{criticalPod(namespace, clusterCritical, "", 1), "no-system-priority"},
			{criticalPod(namespace, nodeCritical, "", 1), "no-system-priority"},
			{repellingPod(namespace, ""), "no-cross-namespace-affinity"},
		} {
			Eventually(func() error { return asAuthor.Resources().Create(ctx, attack.pod.DeepCopy()) }).WithContext(ctx).
				Should(MatchError(ContainSubstring("exceeded quota: " + attack.quota + ", requested: pods=1, used: pods=0, limited: pods=0")))
		}
		Expect(asAuthor.Resources().Create(ctx, newPod(namespace, "nginx:1.25"))).To(Succeed(), "other pods are allowed")
	})
})

// impersonate returns a client that acts as a user.
func impersonate(user string) klient.Client {
	GinkgoHelper()
	config := rest.CopyConfig(client.RESTConfig())
	config.Impersonate.UserName = user
	impersonating, err := klient.New(config)
	Expect(err).NotTo(HaveOccurred())
	return impersonating
}

// criticalPod returns a pod with a priority class and a request for CPU. The scheduler may place
// it only on node, or anywhere if node is empty.
func criticalPod(namespace, class, node string, milliCPU int64) *corev1.Pod {
	pod := newPod(namespace, "nginx:1.25")
	pod.Spec.PriorityClassName = class
	if node != "" {
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: *resource.NewMilliQuantity(milliCPU, resource.DecimalSI)}
	return pod
}

// repellingPod returns a pod that keeps the scheduler from placing a pod of the webhook on any
// node. The pod needs the name of its node, because the scheduler would not place it beside the
// replicas either.
func repellingPod(namespace, node string) *corev1.Pod {
	pod := newPod(namespace, "nginx:1.25")
	pod.Spec.NodeName = node
	pod.Spec.Containers[0].SecurityContext = nil // nginx runs as root
	pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			LabelSelector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "image-webhook"}},
			NamespaceSelector: &metav1.LabelSelector{}, // all namespaces
			TopologyKey:       "kubernetes.io/os",      // all nodes
		}},
	}}
	return pod
}

// withExternalIP returns a copy of a Service that claims an address.
func withExternalIP(service *corev1.Service, address string) *corev1.Service {
	service = service.DeepCopy()
	service.Spec.ExternalIPs = []string{address}
	return service
}

// documentedQuotas returns the ResourceQuotas of docs/operations.md.
func documentedQuotas() string {
	GinkgoHelper()
	content, err := os.ReadFile("../docs/operations.md")
	Expect(err).NotTo(HaveOccurred())
	blocks := markdown.Parse(content).Blocks
	i := slices.IndexFunc(blocks, func(b markdown.Block) bool {
		return b.Info == "yaml" && strings.Contains(b.Text, "kind: ResourceQuota")
	})
	Expect(i).NotTo(BeNumerically("<", 0), "docs/operations.md has no block with ResourceQuotas")
	return blocks[i].Text
}

// roomWithout returns how much CPU pods could request on a node if the evicted pods stopped.
func roomWithout(ctx context.Context, nodes []corev1.Node, name string, evicted func(corev1.Pod) bool) (milliCPU int64) {
	GinkgoHelper()
	i := slices.IndexFunc(nodes, func(node corev1.Node) bool { return node.Name == name })
	Expect(i).NotTo(BeNumerically("<", 0), "node "+name)
	room := nodes[i].Status.Allocatable.Cpu().MilliValue()
	var pods corev1.PodList
	Expect(client.Resources().List(ctx, &pods)).To(Succeed())
	for _, pod := range pods.Items {
		if pod.Spec.NodeName != name || evicted(pod) || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, container := range pod.Spec.Containers {
			room -= container.Resources.Requests.Cpu().MilliValue()
		}
	}
	return room
}

func isServer(pod corev1.Pod) bool {
	return pod.Namespace == ownNamespace && pod.Labels["app.kubernetes.io/component"] == "webhook"
}

// serverNames returns the names of the webhook's pods that are not terminating.
func serverNames(ctx context.Context) (names []string) {
	GinkgoHelper()
	for _, pod := range servers(ctx) {
		if pod.DeletionTimestamp == nil {
			names = append(names, pod.Name)
		}
	}
	return names
}

// schedulingProblem returns why the scheduler did not place a pod on a node; empty: it did, or it
// has not tried yet.
func schedulingProblem(ctx context.Context, pod *corev1.Pod) string {
	GinkgoHelper()
	found := &corev1.Pod{}
	Expect(client.Resources().Get(ctx, pod.Name, pod.Namespace, found)).To(Succeed())
	for _, condition := range found.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return condition.Message
		}
	}
	return ""
}

// deletePods deletes all pods of a namespace and waits until they have stopped.
func deletePods(ctx context.Context, namespace string) {
	GinkgoHelper()
	succeed(ctx, "delete", "pods", "--all", "-n", namespace, "--now", "--timeout=60s")
}

// waitUntilRecovered waits until the webhook and the DNS server of the cluster run again.
func waitUntilRecovered(ctx SpecContext) {
	GinkgoHelper()
	succeed(ctx, "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=90s")
	succeed(ctx, "rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=90s")
	webhookServes(ctx)
}
