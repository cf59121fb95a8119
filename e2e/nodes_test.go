package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// These specs need a cluster of `NODES=2 make up`. They are Serial, because they move replicas of
// the webhook. The spec in chaos_test.go drains a node.
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

// serverNodes returns the nodes that have a replica, without replicas that are
// terminating.
func serverNodes(ctx context.Context) map[string]bool {
	GinkgoHelper()
	nodes := map[string]bool{}
	for _, pod := range servers(ctx) {
		if pod.DeletionTimestamp == nil {
			nodes[pod.Spec.NodeName] = true
		}
	}
	return nodes
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
