package e2e

import (
	"context"
	"net"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/monitoring"
)

var _ = Describe("network policy", Label(devCluster), func() {
	It("lets the webhook open no connection, and answer the API server", func(ctx SpecContext) {
		cluster := enforcingCluster(ctx)
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")
		other := &corev1.Pod{}
		Expect(client.Resources().Get(ctx, "web", namespace, other)).To(Succeed())
		targets := map[string]string{
			"the API server": serviceAddress(ctx, "default", "kubernetes"),
			"the DNS server": serviceAddress(ctx, "kube-system", "kube-dns"),
			"another pod":    net.JoinHostPort(other.Status.PodIP, "80"),
		}
		for name, address := range targets {
			Expect(canConnect(ctx, cluster, *other, address)).To(BeTrue(), "a pod without the policy connects to "+name)
		}
		for _, server := range servers(ctx) {
			if server.DeletionTimestamp != nil {
				continue
			}
			for name, address := range targets {
				Eventually(func() bool { return canConnect(ctx, cluster, server, address) }).WithContext(ctx).
					Should(BeFalse(), server.Name+" connects to "+name)
			}
		}
		Expect(createConcurrently(ctx)).To(Succeed())
	})

	// Serial, because the policy applies to the replicas that all specs use.
	It("lets only Prometheus read the metrics, and everybody send reviews", Serial, func(ctx SpecContext) {
		cluster := enforcingCluster(ctx)
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")
		other := &corev1.Pod{}
		Expect(client.Resources().Get(ctx, "web", namespace, other)).To(Succeed())
		server := servers(ctx)[0]
		metrics, reviews := net.JoinHostPort(server.Status.PodIP, "9090"), net.JoinHostPort(server.Status.PodIP, "8443")
		Expect(canConnect(ctx, cluster, *other, metrics)).To(BeTrue(), "without the policy, a pod connects to the metrics")
		policy := filepath.Join("..", "deploy", "monitoring", "networkpolicy.yaml")
		DeferCleanup(func(ctx SpecContext) { succeed(ctx, "delete", "-f", policy) })
		succeed(ctx, "apply", "-f", policy)
		Eventually(func() bool { return canConnect(ctx, cluster, *other, metrics) }).WithContext(ctx).Should(BeFalse(), "another pod connects to the metrics")
		Expect(canConnect(ctx, cluster, *other, reviews)).To(BeTrue(), "another pod connects to the webhook")
		if installed, err := monitoring.IsInstalled(ctx, clientset()); err == nil && installed {
			Expect(canConnect(ctx, cluster, prometheusPod(ctx), metrics)).To(BeTrue(), "Prometheus connects to the metrics")
		}
		Expect(createConcurrently(ctx)).To(Succeed())
	})
})

// enforcingCluster returns the dev cluster, or skips the spec if its nodes enforce no policies.
func enforcingCluster(ctx context.Context) *devcluster.Cluster {
	GinkgoHelper()
	cluster, _ := openMirror(ctx)
	enforced, err := cluster.EnforcesNetworkPolicies(ctx)
	Expect(err).NotTo(HaveOccurred())
	if !enforced {
		Skip("the nodes enforce no NetworkPolicies: create the cluster with NETWORK_POLICY=1")
	}
	return cluster
}

func prometheusPod(ctx context.Context) corev1.Pod {
	GinkgoHelper()
	pods := &corev1.PodList{}
	Expect(client.Resources(monitoring.Namespace).List(ctx, pods)).To(Succeed())
	Expect(pods.Items).To(HaveLen(1))
	return pods.Items[0]
}

// serviceAddress returns the address of the first port of a Service.
func serviceAddress(ctx context.Context, namespace, name string) string {
	GinkgoHelper()
	return net.JoinHostPort(field(ctx, namespace, "service/"+name, ".spec.clusterIP"), field(ctx, namespace, "service/"+name, ".spec.ports[0].port"))
}

// canConnect reports whether a process in the network of a pod can connect to an address.
func canConnect(ctx context.Context, cluster *devcluster.Cluster, pod corev1.Pod, address string) bool {
	GinkgoHelper()
	host, port, err := net.SplitHostPort(address)
	Expect(err).NotTo(HaveOccurred())
	connected, err := cluster.CanConnect(ctx, pod, host, port)
	Expect(err).NotTo(HaveOccurred())
	return connected
}
