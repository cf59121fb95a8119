package e2e

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// warningPrefix begins kubectl's line about a warning.
const warningPrefix = "Warning: use `latest` tag is not allowed: "

// webContainer is the container of newPod and of `kubectl run web` in messages.
const webContainer = `container "web" (spec.containers[0].image)`

// latestWarning returns the rest of the warning about an image with the tag latest. location
// is the container or volume that uses the image.
func latestWarning(location, written string) string {
	return location + ` has image "` + written + `"` + "\n"
}

// latestDenial returns the rest of the denial of an image with the tag latest.
func latestDenial(location, written, mirrored string) string {
	return location + usesImage(written, mirrored) + `: tag "latest" is not allowed because its image can change: ` +
		useInstead(strings.TrimSuffix(written, ":latest"))
}

// untaggedDenial returns the rest of the denial of an image without a tag.
func untaggedDenial(location, written, mirrored string) string {
	return location + usesImage(written, mirrored) + `: no tag means tag "latest", which is not allowed because its image can change: ` +
		useInstead(written)
}

// usesImage returns the words for an image that the user wrote, and for the mirrored image
// unless it is empty.
func usesImage(written, mirrored string) string {
	if mirrored == "" {
		return ` uses image "` + written + `"`
	}
	return ` uses image "` + written + `" (mirrored to "` + mirrored + `")`
}

func useInstead(name string) string {
	return "use a fixed tag such as " + name + ":1.2.3 or a digest (" + name + "@sha256:...)\n"
}

// podManifest returns a pod as JSON, for images that kubectl run rejects.
func podManifest(image string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"` + image + `"}]}}`
}

var _ = Describe("deny", func() {
	// The full output of kubectl is asserted, because users see all of it.
	DescribeTable("denies kubectl run with a reason and a remedy",
		func(ctx SpecContext, image, denial string) {
			Expect(kubectl(ctx, "run", "web", "--image="+image, "-n", dryRuns)).To(Equal(result{
				Stderr: warningOfDenial(webContainer, image) + denialPrefix("web") + denial,
				Exit:   1,
			}))
			Expect(succeed(ctx, "get", "pods", "-n", dryRuns, "-o", "name")).To(BeEmpty())
		},
		Entry("for the tag latest", "quay.io/app:latest", latestDenial(webContainer, "quay.io/app:latest", "")),
		Entry("for the tag latest of a mirrored image, with both names", "nginx:latest", latestDenial(webContainer, "nginx:latest", "docker.mirror.example/library/nginx:latest")),
		Entry("for a mirrored image without a tag, with both names", "nginx", untaggedDenial(webContainer, "nginx", "docker.mirror.example/library/nginx")),
		Entry("for an image without a tag in a registry with a port", "host:5000/app", untaggedDenial(webContainer, "host:5000/app", "")),
	)

	It("denies an invalid reference", func(ctx SpecContext) {
		got := kubectlWith(ctx, podManifest("Nginx:1"), "create", "-n", dryRuns, "-f", "-")
		Expect(got.Exit).To(Equal(1))
		warning := ""
		if warnsOnDenial {
			warning = "Warning: invalid image reference: " + webContainer + ` has image "Nginx:1"` + "\n"
		}
		Expect(got.Stderr).To(And(
			HavePrefix(warning+
				strings.Replace(denialPrefix("web"), "Error from server (Forbidden): ", `Error from server (Forbidden): error when creating "STDIN": `, 1)+
				webContainer+` uses image "Nginx:1": invalid reference (invalid reference format`),
			HaveSuffix("): use [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST\n")))
		if !hybrid && !static { // a policy cannot say why
			Expect(got.Stderr).To(ContainSubstring("(invalid reference format: repository name (library/Nginx) must be lowercase)"))
		}
	})

	DescribeTable("denies a pod",
		func(ctx SpecContext, image string, initImages ...string) {
			err := dryRun(ctx, newPod(dryRuns, image, initImages...))
			Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(ContainSubstring(denialBy())))
		},
		Entry("with latest and a short name", "nginx:latest"),
		Entry("with latest and a full Docker Hub name", "docker.io/library/nginx:latest"),
		Entry("with latest and another registry", "registry.k8s.io/pause:latest"),
		Entry("with latest in an init container", "nginx:1.25", "busybox:latest"),
		Entry("with no tag in the second init container", "nginx:1.25", "busybox:1.36", "busybox"),
	)

	DescribeTable("admits a pod",
		func(ctx SpecContext, image string, initImages ...string) {
			Expect(dryRun(ctx, newPod(dryRuns, image, initImages...))).To(Succeed())
		},
		Entry("with a tag", "nginx:1.25"),
		Entry("with a tag that only starts with latest", "nginx:latest-alpine"),
		Entry("with a tag, in a registry with a port", "host:5000/app:v1"),
		Entry("with a digest", "nginx"+pinned),
		Entry("with latest and a digest", "nginx:latest"+pinned),
		Entry("with a tag in each container", "nginx:1.25", "busybox:1.36"),
	)

	It("ignores mirror pods of static pods", func(ctx SpecContext) {
		pod := newPod(dryRuns, "nginx:latest")
		pod.Annotations = map[string]string{"kubernetes.io/config.mirror": "4f2a"}
		pod.Spec.NodeName = "node" // the API server requires it of a mirror pod
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal("nginx:latest"))
	})

	It("denies the tag latest in an image volume", func(ctx SpecContext) {
		err := dryRun(ctx, withImageVolume(newPod(dryRuns, "nginx:1.25"), "acme/model:latest"))
		Expect(err).To(MatchError(ContainSubstring(
			`volume "files" (spec.volumes[0].image.reference) uses image "acme/model:latest" (mirrored to "docker.mirror.example/acme/model:latest")`)))
	})

	It("reports all denied images of a pod in one message", func(ctx SpecContext) {
		pod := withImageVolume(newPod(dryRuns, "quay.io/app:latest", "quay.io/init"), "quay.io/model")
		Expect(dryRun(ctx, pod)).To(MatchError(And(
			ContainSubstring(denialBy()+"3 images are not allowed"),
			ContainSubstring(`container "web" (spec.containers[0].image) uses image "quay.io/app:latest"`),
			ContainSubstring(`container "init-0" (spec.initContainers[0].image) uses image "quay.io/init"`),
			ContainSubstring(`volume "files" (spec.volumes[0].image.reference) uses image "quay.io/model"`),
		)))
	})
})
