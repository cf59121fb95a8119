package e2e

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The beginnings of what kubectl prints of a warning and of a denial.
const (
	notAllowed = "Warning: use `latest` tag is not allowed: "
	denied     = `Error from server (Forbidden): admission webhook "validating.image-webhook.dev" denied the request: `
)

// latestWarning and latestDenial are the rest of these lines about an image with
// the tag latest; at is what uses it. The image is named as it was written, and
// as it is mirrored if it is.
func latestWarning(at, written string) string {
	return at + ` has image "` + written + `"` + "\n"
}

func latestDenial(at, written, mirrored string) string {
	name, also := strings.TrimSuffix(written, ":latest"), ""
	if mirrored != "" {
		also = ` (mirrored to "` + mirrored + `")`
	}
	return at + ` uses image "` + written + `"` + also + `, whose tag "latest" is not allowed because it can change under you: ` +
		"name a fixed tag such as " + name + ":1.2.3 or pin a digest (" + name + "@sha256:...)\n"
}

// podManifest is for images that kubectl run does not take.
func podManifest(image string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"` + image + `"}]}}`
}

var _ = Describe("deny", func() {
	// What kubectl prints is what people act on: it is asserted to the letter.
	DescribeTable("kubectl run is refused, with the reason and the remedy",
		func(ctx SpecContext, image, denial string) {
			const at = `container "web" (spec.containers[0].image)`
			Expect(kubectl(ctx, "run", "web", "--image="+image, "-n", dryRuns)).To(Equal(said{
				Stderr: notAllowed + latestWarning(at, image) + denied + at + denial,
				Exit:   1,
			}))
			Expect(succeed(ctx, "get", "pods", "-n", dryRuns, "-o", "name")).To(BeEmpty())
		},
		Entry("the tag latest", "quay.io/app:latest", latestDenial("", "quay.io/app:latest", "")),
		Entry("the tag latest, and a mirror: both names", "nginx:latest", latestDenial("", "nginx:latest", "docker.mirror.example/library/nginx:latest")),
		Entry("no tag, and a mirror: both names", "nginx",
			` uses image "nginx" (mirrored to "docker.mirror.example/library/nginx"), `+
				`which has no tag and so means "latest", a tag that is not allowed because it can change under you: `+
				"name a fixed tag such as nginx:1.2.3 or pin a digest (nginx@sha256:...)\n"),
		Entry("a registry with a port, no tag", "host:5000/app",
			` uses image "host:5000/app", `+
				`which has no tag and so means "latest", a tag that is not allowed because it can change under you: `+
				"name a fixed tag such as host:5000/app:1.2.3 or pin a digest (host:5000/app@sha256:...)\n"),
	)

	It("says of an unreadable reference that it is one", func(ctx SpecContext) {
		const at = `container "web" (spec.containers[0].image) `
		Expect(kubectlWith(ctx, podManifest("Nginx:1"), "create", "-n", dryRuns, "-f", "-")).To(Equal(said{
			Stderr: "Warning: image reference cannot be read: " + at + `has image "Nginx:1"` + "\n" +
				strings.Replace(denied, "Error from server (Forbidden): ", `Error from server (Forbidden): error when creating "STDIN": `, 1) +
				at + `uses image "Nginx:1", which cannot be read (invalid reference format: repository name (library/Nginx) must be lowercase): ` +
				"write it as [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST\n",
			Exit: 1,
		}))
	})

	DescribeTable("a pod is refused",
		func(ctx SpecContext, image string, initImages ...string) {
			err := dryRun(ctx, newPod(dryRuns, image, initImages...))
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
			Expect(dryRun(ctx, newPod(dryRuns, image, initImages...))).To(Succeed())
		},
		Entry("with a tag", "nginx:1.25"),
		Entry("with a tag that only looks like latest", "nginx:latest-alpine"),
		Entry("with a registry with a port and a tag", "host:5000/app:v1"),
		Entry("with a digest", "nginx"+pinned),
		Entry("with latest and a digest", "nginx:latest"+pinned),
		Entry("with fixed init containers", "nginx:1.25", "busybox:1.36"),
	)

	It("passes over the mirror pods of static pods", func(ctx SpecContext) {
		pod := newPod(dryRuns, "nginx:latest")
		pod.Annotations = map[string]string{"kubernetes.io/config.mirror": "4f2a"}
		pod.Spec.NodeName = "node" // what the API server asks of a mirror pod
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal("nginx:latest"))
	})

	It("refuses an image volume", func(ctx SpecContext) {
		err := dryRun(ctx, withImageVolume(newPod(dryRuns, "nginx:1.25"), "acme/model:latest"))
		Expect(err).To(MatchError(ContainSubstring(
			`volume "files" (spec.volumes[0].image.reference) uses image "acme/model:latest" (mirrored to "docker.mirror.example/acme/model:latest")`)))
	})

	It("names every fault of a pod at once", func(ctx SpecContext) {
		pod := withImageVolume(newPod(dryRuns, "quay.io/app:latest", "quay.io/init"), "quay.io/model")
		Expect(dryRun(ctx, pod)).To(MatchError(And(
			ContainSubstring("denied the request: 3 images are not allowed\n"),
			ContainSubstring(`- container "web" (spec.containers[0].image) uses image "quay.io/app:latest"`),
			ContainSubstring(`- container "init-0" (spec.initContainers[0].image) uses image "quay.io/init"`),
			ContainSubstring(`- volume "files" (spec.volumes[0].image.reference) uses image "quay.io/model"`),
		)))
	})
})
