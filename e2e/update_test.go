package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("update", Label(devCluster), func() {
	It("checks and mirrors the image that kubectl debug adds to a running pod", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")

		const location = `container "debugger" (spec.ephemeralContainers[0].image)`
		// Without a profile, kubectl 1.35 prints that its default profile will change.
		Expect(kubectl(ctx, "debug", "pod/web", "--image=busybox:latest", "--profile=general", "-c", "debugger", "-n", namespace)).To(Equal(result{
			Stderr: warningOfDenial(location, "busybox:latest") +
				denialPrefix("web") + latestDenial(location, "busybox:latest", "docker.mirror.example/library/busybox:latest"),
			Exit: 1,
		}))

		succeed(ctx, "debug", "pod/web", "--image=busybox:1.36", "-c", "debugger", "-n", namespace)
		succeed(ctx, "debug", "pod/web", "--image=busybox:1.36", "-c", "second", "-n", namespace)
		// On an update, the annotation of mirror pods does not bypass the webhook, because the API
		// server does not store it.
		succeed(ctx, "patch", "pod/web", "--subresource=ephemeralcontainers", "--type=strategic", "-n", namespace, "-p",
			`{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"ephemeralContainers":[{"name":"third","image":"busybox:1.36"}]}}`)
		const mirrored = "docker.mirror.example/library/busybox:1.36"
		Expect(strings.Fields(field(ctx, namespace, "pod/web", ".spec.ephemeralContainers[*].image"))).To(Equal([]string{mirrored, mirrored, mirrored}))
		succeed(ctx, "wait", "pod/web", "--for=jsonpath={.status.ephemeralContainerStatuses[?(@.name==\"second\")].state.running}", "-n", namespace, "--timeout=60s")
	})

	It("checks and mirrors the image that kubectl set image changes", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")

		Expect(kubectl(ctx, "set", "image", "pod/web", "web=nginx:latest", "-n", namespace)).To(Equal(result{
			Stderr: warningOfDenial(webContainer, "nginx:latest") +
				strings.Replace(denialPrefix("web"), "Error from server (Forbidden)", "error: failed to patch image update to pod template", 1) +
				latestDenial(webContainer, "nginx:latest", "docker.mirror.example/library/nginx:latest"),
			Exit: 1,
		}))
		Expect(kubectl(ctx, "set", "image", "pod/web", "web=nginx:1.26", "-n", namespace)).To(Equal(result{Stdout: "pod/web image updated\n"}))
		Expect(field(ctx, namespace, "pod/web", ".spec.containers[0].image")).To(Equal("docker.mirror.example/library/nginx:1.26"))
		succeed(ctx, "wait", "pod/web", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "-n", namespace, "--timeout=60s")

		// The image is mirrored to the stored reference, so the pod does not change.
		generation := field(ctx, namespace, "pod/web", ".metadata.generation")
		succeed(ctx, "set", "image", "pod/web", "web=nginx:1.26", "-n", namespace)
		Expect(field(ctx, namespace, "pod/web", ".metadata.generation")).To(Equal(generation))
	})

	It("allows updates and the deletion of a pod that existed before the mode was set", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		setMode(ctx, namespace, "off")
		runAndWait(ctx, namespace, "old", unmirrored+"/httpd:latest")
		setMode(ctx, namespace, "deny")
		before := podState(ctx, namespace)

		succeed(ctx, "label", "pod/old", "tier=front", "-n", namespace)
		succeed(ctx, "annotate", "pod/old", "example.com/note=kept", "-n", namespace)
		succeed(ctx, "patch", "pod/old", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`, "-n", namespace)
		succeed(ctx, "debug", "pod/old", "--image=busybox:1.36", "-c", "debugger", "-n", namespace)
		succeed(ctx, "wait", "pod/old", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running}", "-n", namespace, "--timeout=60s")
		Expect(podState(ctx, namespace)).To(Equal(before), "the pod is neither restarted nor rewritten")

		succeed(ctx, "delete", "pod/old", "-n", namespace, "--now", "--wait=false")
		succeed(ctx, "patch", "pod/old", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`, "-n", namespace)
		succeed(ctx, "wait", "pod/old", "--for=delete", "-n", namespace, "--timeout=60s")
	})
})

// podState returns the image, the container ID and the restart count of the pod old. They
// change only if the pod is restarted or rewritten.
func podState(ctx context.Context, namespace string) string {
	GinkgoHelper()
	return field(ctx, namespace, "pod/old", ".spec.containers[0].image} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount")
}
