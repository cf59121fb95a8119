package e2e

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
)

// These specs need a cluster of `NODES=2 make up`. They are Serial, because they move replicas of
// the webhook.
var _ = Describe("several nodes", Label(devCluster, "nodes"), Serial, func() {
	BeforeEach(func(ctx SpecContext) {
		if len(schedulableNodes(ctx)) < 2 {
			Skip("the cluster has one node: create it with NODES=2")
		}
	})

	It("pull images from the mirror", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		image := newImage(ctx, "library/nginx", ":80")
		for _, node := range schedulableNodes(ctx) {
			pod := newPod(namespace, image.ref)
			pod.Name, pod.Spec.NodeName = node.Name, node.Name
			pod.Spec.Containers[0].SecurityContext = nil // nginx runs as root
			Expect(client.Resources().Create(ctx, pod)).To(Succeed())
			succeed(ctx, "wait", "--for=condition=Ready", "pod/"+pod.Name, "-n", namespace, "--timeout=60s")
		}
	})

	It("run one replica each after a rollout", func(ctx SpecContext) {
		restartWebhook(ctx)
		Expect(serverNodes(ctx)).To(HaveLen(2), "nodes with a replica")
	})

	It("can be drained while the webhook mirrors and denies every pod", func(ctx SpecContext) {
		restartWebhook(ctx) // two nodes have a replica
		node := nodeWithoutMirror(ctx)
		DeferCleanup(func(ctx SpecContext) {
			succeed(ctx, "uncordon", node)
			restartWebhook(ctx)
		})
		rounds := createWhile(ctx, func() result {
			return execKubectl(ctx, "", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s")
		})
		Expect(rounds).To(BeNumerically(">", 10), "rounds of requests during the drain")
		nodes := serverNodes(ctx)
		Expect(nodes).To(And(HaveLen(1), Not(HaveKey(node))))
		for other := range nodes {
			Eventually(func() string { return pluginCommand(ctx, "status").Stdout }).WithContext(ctx).Should(ContainSubstring("all replicas run on node " + other))
		}
	})
})

// schedulableNodes returns the nodes on which the scheduler may place any pod.
func schedulableNodes(ctx context.Context) (schedulable []corev1.Node) {
	GinkgoHelper()
	for _, node := range allNodes(ctx) {
		if !node.Spec.Unschedulable && len(node.Spec.Taints) == 0 {
			schedulable = append(schedulable, node)
		}
	}
	return schedulable
}

func allNodes(ctx context.Context) []corev1.Node {
	GinkgoHelper()
	var nodes corev1.NodeList
	Expect(client.Resources().List(ctx, &nodes)).To(Succeed())
	return nodes.Items
}

// serverNodes returns the number of replicas on each node that has one, without replicas that are
// terminating.
func serverNodes(ctx context.Context) map[string]int {
	GinkgoHelper()
	nodes := map[string]int{}
	for _, pod := range servers(ctx) {
		if pod.DeletionTimestamp == nil {
			nodes[pod.Spec.NodeName]++
		}
	}
	return nodes
}

// nodeWithoutMirror returns the name of a node that has a replica, but not the mirror. The mirror
// would lose its images.
func nodeWithoutMirror(ctx context.Context) string {
	GinkgoHelper()
	occupied := field(ctx, mirror.Namespace, "pods", fmt.Sprintf(`.items[?(@.metadata.labels.app\.kubernetes\.io/instance==%q)].spec.nodeName`, mirror.Name))
	for node := range serverNodes(ctx) {
		if node != occupied {
			return node
		}
	}
	Fail("no node has a replica, but not the mirror")
	return ""
}

// restartWebhook replaces all replicas and returns when the old ones have stopped.
func restartWebhook(ctx context.Context) {
	GinkgoHelper()
	old := map[types.UID]bool{}
	for _, pod := range servers(ctx) {
		old[pod.UID] = true
	}
	succeed(ctx, "rollout", "restart", "deployment/webhook", "-n", ownNamespace)
	succeed(ctx, "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=90s")
	Eventually(func() []corev1.Pod { return servers(ctx) }).WithContext(ctx).Should(HaveLen(2))
	for _, pod := range servers(ctx) {
		Expect(old).NotTo(HaveKey(pod.UID))
	}
}

// createWhile creates pods that must be mirrored or denied until a command ends, which must
// succeed, and returns how often.
func createWhile(ctx context.Context, command func() result) (rounds int) {
	GinkgoHelper()
	ended := make(chan result, 1)
	go func() {
		defer GinkgoRecover()
		ended <- command()
	}()
	for ; len(ended) == 0; rounds++ {
		Expect(createConcurrently(ctx)).To(Succeed())
	}
	got := <-ended
	Expect(got.Exit).To(BeZero(), got.GomegaString())
	return rounds
}
