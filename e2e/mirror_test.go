package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("mirror", func() {
	DescribeTable("rewrites references of mapped registries only:",
		func(ctx SpecContext, written, stored string) {
			pod := withImageVolume(newPod(dryRuns, written, written), written)
			Expect(dryRun(ctx, pod)).To(Succeed())
			Expect(pod.Spec.Containers[0].Image).To(Equal(stored))
			Expect(pod.Spec.InitContainers[0].Image).To(Equal(stored), "init container")
			Expect(pod.Spec.Volumes[0].Image.Reference).To(Equal(stored), "image volume")
		},
		Entry("short name", "nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("full Docker Hub name", "docker.io/library/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("docker.io without library/", "docker.io/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("old host name of Docker Hub", "index.docker.io/library/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
		Entry("image of a Docker Hub user", "bitnami/redis:7.2", "docker.mirror.example/bitnami/redis:7.2"),
		Entry("long path on Docker Hub", "a/b/c/d:1", "docker.mirror.example/a/b/c/d:1"),
		Entry("registry.k8s.io", "registry.k8s.io/pause:3.10", "k8s.mirror.example/pause:3.10"),
		Entry("registry.k8s.io with a path", "registry.k8s.io/coredns/coredns:v1.14.6", "k8s.mirror.example/coredns/coredns:v1.14.6"),
		Entry("registry.k8s.io in another spelling", "REGISTRY.K8S.IO:443/pause:3.10", "k8s.mirror.example/pause:3.10"),
		Entry("keeps tag and digest", "nginx:1.25"+pinned, "docker.mirror.example/library/nginx:1.25"+pinned),
		Entry("keeps a digest", "registry.k8s.io/pause"+pinned, "k8s.mirror.example/pause"+pinned),
		Entry("leaves an unmapped registry unchanged", "quay.io/prometheus/node-exporter:v1.8.0", "quay.io/prometheus/node-exporter:v1.8.0"),
		Entry("leaves a registry with a port unchanged", "localhost:5000/app:1", "localhost:5000/app:1"),
		Entry("leaves an image of the mirror unchanged", "docker.mirror.example/library/nginx:1.25", "docker.mirror.example/library/nginx:1.25"),
	)

	It("does not rewrite the pods of CloudNativePG, and still denies latest in them", func(ctx SpecContext) {
		pod := newPod(dryRuns, "nginx:1.25")
		pod.Labels = map[string]string{"cnpg.io/podRole": "instance"}
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal("nginx:1.25"))
		pod.Spec.Containers[0].Image = "nginx:latest"
		pod.ResourceVersion = ""
		Expect(dryRun(ctx, pod)).To(MatchError(ContainSubstring(`uses image "nginx:latest": tag "latest" is not allowed`)))
	})

	It("leaves no trace on the pod except the image", func(ctx SpecContext) {
		pod := newPod(dryRuns, "nginx:1.25")
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Annotations).To(BeEmpty())
		Expect(pod.Labels).To(BeEmpty())
	})
})
