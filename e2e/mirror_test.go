package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("mirror", func() {
	DescribeTable("an image is sent to the mirror of its registry",
		func(ctx SpecContext, written, stored string) {
			pod := withImageVolume(newPod(dryRuns, written, written), written)
			Expect(dryRun(ctx, pod)).To(Succeed())
			Expect(pod.Spec.Containers[0].Image).To(Equal(stored))
			Expect(pod.Spec.InitContainers[0].Image).To(Equal(stored), "init container")
			Expect(pod.Spec.Volumes[0].Image.Reference).To(Equal(stored), "image volume")
		},
		Entry("short name", "nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("library name", "docker.io/library/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("docker.io without library", "docker.io/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("Docker Hub's old host", "index.docker.io/library/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("a user's image", "bitnami/redis:7.2", "docker.mirror.example/bitnami/redis:7.2"),
		Entry("a deep path on Docker Hub", "a/b/c/d:1", "docker.mirror.example/a/b/c/d:1"),
		Entry("registry.k8s.io", "registry.k8s.io/pause:3.10", "k8s.mirror.example/pause:3.10"),
		Entry("registry.k8s.io with a path", "registry.k8s.io/coredns/coredns:v1.14.6", "k8s.mirror.example/coredns/coredns:v1.14.6"),
		Entry("registry.k8s.io in another spelling", "REGISTRY.K8S.IO:443/pause:3.10", "k8s.mirror.example/pause:3.10"),
		Entry("tag and digest are kept", "nginx:1.25"+pinned, "docker.mirror.example/library/nginx:1.25"+pinned),
		Entry("a digest is kept", "registry.k8s.io/pause"+pinned, "k8s.mirror.example/pause"+pinned),
		Entry("an unmapped registry is left", "quay.io/prometheus/node-exporter:v1.8.0", "quay.io/prometheus/node-exporter:v1.8.0"),
		Entry("a registry with a port is left", "localhost:5000/app:1", "localhost:5000/app:1"),
		Entry("a mirror itself is left", "docker.mirror.example/library/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
	)

	It("leaves CloudNativePG's pods on their own registry, and judges them", func(ctx SpecContext) {
		pod := newPod(dryRuns, "nginx:1.25")
		pod.Labels = map[string]string{"cnpg.io/podRole": "instance"}
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal("nginx:1.25"))
		pod.Spec.Containers[0].Image = "nginx:latest"
		pod.ResourceVersion = ""
		Expect(dryRun(ctx, pod)).To(MatchError(ContainSubstring(`uses image "nginx:latest", whose tag`)))
	})

	It("leaves no trace on the pod but the image", func(ctx SpecContext) {
		pod := newPod(dryRuns, "nginx:1.25")
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Annotations).To(BeEmpty())
		Expect(pod.Labels).To(BeEmpty())
	})
})
