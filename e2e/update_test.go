package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("update", Label(devCluster), func() {
	It("judges and mirrors what kubectl debug adds to a running pod", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")

		const at = `container "debugger" (spec.ephemeralContainers[0].image)`
		// Without a profile, kubectl 1.35 says that its default will be another.
		Expect(kubectl(ctx, "debug", "pod/web", "--image=busybox:latest", "--profile=general", "-c", "debugger", "-n", namespace)).To(Equal(said{
			Stderr: notAllowed + latestWarning(at, "busybox:latest") +
				denied + latestDenial(at, "busybox:latest", "docker.mirror.example/library/busybox:latest"),
			Exit: 1,
		}))

		succeed(ctx, "debug", "pod/web", "--image=busybox:1.36", "-c", "debugger", "-n", namespace)
		succeed(ctx, "debug", "pod/web", "--image=busybox:1.36", "-c", "second", "-n", namespace)
		// The annotation of a static pod's mirror pod, which is not stored, is no way around.
		succeed(ctx, "patch", "pod/web", "--subresource=ephemeralcontainers", "--type=strategic", "-n", namespace, "-p",
			`{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"ephemeralContainers":[{"name":"third","image":"busybox:1.36"}]}}`)
		const mirrored = "docker.mirror.example/library/busybox:1.36"
		Expect(strings.Fields(field(ctx, namespace, "pod/web", ".spec.ephemeralContainers[*].image"))).To(Equal([]string{mirrored, mirrored, mirrored}))
		succeed(ctx, "wait", "pod/web", "--for=jsonpath={.status.ephemeralContainerStatuses[?(@.name==\"second\")].state.running}", "-n", namespace, "--timeout=60s")
	})

	It("judges and mirrors what kubectl set image changes", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")

		const at = `container "web" (spec.containers[0].image)`
		Expect(kubectl(ctx, "set", "image", "pod/web", "web=nginx:latest", "-n", namespace)).To(Equal(said{
			Stderr: notAllowed + latestWarning(at, "nginx:latest") +
				strings.Replace(denied, "Error from server (Forbidden)", "error: failed to patch image update to pod template", 1) +
				latestDenial(at, "nginx:latest", "docker.mirror.example/library/nginx:latest"),
			Exit: 1,
		}))
		Expect(kubectl(ctx, "set", "image", "pod/web", "web=nginx:1.26", "-n", namespace)).To(Equal(said{Stdout: "pod/web image updated\n"}))
		Expect(field(ctx, namespace, "pod/web", ".spec.containers[0].image")).To(Equal("docker.mirror.example/library/nginx:1.26"))
		succeed(ctx, "wait", "pod/web", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "-n", namespace, "--timeout=60s")

		// The name under which the image was written leads back to the mirror: it
		// is no change, and restarts nothing.
		version := field(ctx, namespace, "pod/web", ".metadata.generation")
		succeed(ctx, "set", "image", "pod/web", "web=nginx:1.26", "-n", namespace)
		Expect(field(ctx, namespace, "pod/web", ".metadata.generation")).To(Equal(version))
	})

	It("lets a pod that is older than the policy live, change and go", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		setMode(ctx, namespace, "off")
		runAndWait(ctx, namespace, "old", unmirrored+"/httpd:latest")
		setMode(ctx, namespace, "deny")
		before := life(ctx, namespace)

		succeed(ctx, "label", "pod/old", "tier=front", "-n", namespace)
		succeed(ctx, "annotate", "pod/old", "example.com/note=kept", "-n", namespace)
		succeed(ctx, "patch", "pod/old", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`, "-n", namespace)
		succeed(ctx, "debug", "pod/old", "--image=busybox:1.36", "-c", "debugger", "-n", namespace)
		succeed(ctx, "wait", "pod/old", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running}", "-n", namespace, "--timeout=60s")
		Expect(life(ctx, namespace)).To(Equal(before), "it was neither restarted nor rewritten")

		succeed(ctx, "delete", "pod/old", "-n", namespace, "--now", "--wait=false")
		succeed(ctx, "patch", "pod/old", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`, "-n", namespace)
		succeed(ctx, "wait", "pod/old", "--for=delete", "-n", namespace, "--timeout=60s")
	})
})

// life is what a pod keeps as long as nothing restarts or rewrites it.
func life(ctx context.Context, namespace string) string {
	GinkgoHelper()
	return field(ctx, namespace, "pod/old", ".spec.containers[0].image} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount")
}
