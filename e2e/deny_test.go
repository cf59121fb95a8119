package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var _ = Describe("deny", func() {
	const warning = "Warning: use `latest` tag is not allowed\n"
	const denied = `Error from server (Forbidden): admission webhook "validating.image-webhook.dev" denied the request: `

	// What kubectl prints is what people act on: it is asserted to the letter.
	DescribeTable("kubectl run is refused, with the reason and the remedy",
		func(ctx SpecContext, image, message string) {
			namespace := newNamespace(ctx)
			Expect(kubectl(ctx, "run", "web", "--image="+image, "-n", namespace)).To(Equal(said{
				Stderr: warning + denied + message + "\n",
				Exit:   1,
			}))
			Expect(succeed(ctx, "get", "pods", "-n", namespace, "-o", "name")).To(BeEmpty())
		},
		Entry("the tag latest", "quay.io/app:latest",
			`container "web" (spec.containers[0].image) uses image "quay.io/app:latest", `+
				`whose tag "latest" can change under you: `+
				`name a fixed tag such as quay.io/app:1.2.3 or pin a digest (quay.io/app@sha256:...)`),
		Entry("no tag", "nginx",
			`container "web" (spec.containers[0].image) uses image "docker.mirror.example/library/nginx", `+
				`which has no tag and so means "latest", a tag that can change under you: `+
				`name a fixed tag such as docker.mirror.example/library/nginx:1.2.3 `+
				`or pin a digest (docker.mirror.example/library/nginx@sha256:...)`),
		Entry("a registry with a port, no tag", "host:5000/app",
			`container "web" (spec.containers[0].image) uses image "host:5000/app", `+
				`which has no tag and so means "latest", a tag that can change under you: `+
				`name a fixed tag such as host:5000/app:1.2.3 or pin a digest (host:5000/app@sha256:...)`),
	)

	DescribeTable("a pod is refused",
		func(ctx SpecContext, image string, initImages ...string) {
			err := dryRun(ctx, newPod(newNamespace(ctx), image, initImages...))
			Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(ContainSubstring("validating.image-webhook.dev")))
		},
		Entry("for latest in a short name", "nginx:latest"),
		Entry("for latest in a library name", "docker.io/library/nginx:latest"),
		Entry("for latest in another registry", "registry.k8s.io/pause:latest"),
		Entry("for an init container", "nginx:1.25", "busybox:latest"),
		Entry("for the second init container", "nginx:1.25", "busybox:1.36", "busybox"),
	)

	DescribeTable("a pod is admitted",
		func(ctx SpecContext, image string, initImages ...string) {
			Expect(dryRun(ctx, newPod(newNamespace(ctx), image, initImages...))).To(Succeed())
		},
		Entry("with a tag", "nginx:1.25"),
		Entry("with a tag that only looks like latest", "nginx:latest-alpine"),
		Entry("with a registry with a port and a tag", "host:5000/app:v1"),
		Entry("with a digest", "nginx"+pinned),
		Entry("with latest and a digest", "nginx:latest"+pinned),
		Entry("with fixed init containers", "nginx:1.25", "busybox:1.36"),
	)

	It("names every fault of a pod at once", func(ctx SpecContext) {
		err := dryRun(ctx, newPod(newNamespace(ctx), "quay.io/app:latest", "quay.io/init"))
		Expect(err).To(MatchError(And(
			ContainSubstring(`container "web" (spec.containers[0].image) uses image "quay.io/app:latest"`),
			ContainSubstring(`container "init-0" (spec.initContainers[0].image) uses image "quay.io/init"`),
		)))
	})
})
