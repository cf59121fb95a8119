package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
)

// The registries that `make up HOSTS_TOML=1` adds, and the registry whose origin is in the cluster. Its
// mirror is dockerMirror/origin.
const (
	nodeMirror   = "mirror-tls"
	nodeOrigin   = "origin"
	originHost   = "origin.example"
	originOnNode = "origin/team/app" // the path on the mirror of originHost/team/app
)

// In these specs the webhook rewrites nothing, and containerd on the nodes has the mirrors of the policy.
//
// Ordered, because the last spec stops the mirror of the nodes.
var _ = Describe("node mirrors", Label(devCluster, "hosts-toml"), Ordered, ContinueOnFailure, func() {
	var namespace string

	BeforeAll(func(ctx SpecContext) {
		if !hasNodeMirrors(ctx) {
			Skip("the nodes have no mirrors of their own: create the cluster with HOSTS_TOML=1")
		}
	})
	BeforeEach(func(ctx SpecContext) {
		namespace = newNamespace(ctx)
		setMode(ctx, namespace, "off")
		DeferCleanup(func(ctx SpecContext) {
			saveRegistryLog(ctx, nodeMirror)
			saveRegistryLog(ctx, nodeOrigin)
		})
	})

	It("pull an image of docker.io that only the mirror has, under the name that the user wrote", func(ctx SpecContext) {
		image := newImage(ctx, "library/nginx", ":80")
		runAndWait(ctx, namespace, "web", shortName(image.ref))
		expectWritten(ctx, namespace, shortName(image.ref), "docker.io/"+image.pinned)
		Expect(page(ctx, namespace, "web:80", "")).To(Equal(image.page))
		image.expectPulled(ctx, nodeMirror, "docker.io")
	})

	It("pull from a mirror with a path", func(ctx SpecContext) {
		image := newImage(ctx, originOnNode, ":80")
		written := originHost + "/team/app" + image.ref[len(originOnNode):]
		runAndWait(ctx, namespace, "web", written)
		expectWritten(ctx, namespace, written, originHost+"/team/app@"+image.digest)
		Expect(page(ctx, namespace, "web:80", "")).To(Equal(image.page))
		image.expectPulled(ctx, nodeMirror, originHost)
		Expect(registryRequests(ctx, nodeOrigin, image.digest)).To(BeEmpty(), "requests to the origin")
	})

	It("pull from the origin if the mirror does not have the image", func(ctx SpecContext) {
		image := pushImage(ctx, connectTo(ctx, nodeOrigin), "team/app", ":80")
		expectPulledFromOrigin(ctx, namespace, image)
		tag := image.ref[len("team/app:"):]
		Expect(registryRequests(ctx, nodeMirror, tag)).To(ContainElement(
			ContainSubstring(`"HEAD /v2/` + originOnNode + `/manifests/` + tag + `?ns=` + originHost + ` HTTP/1.1" 404`)))
	})

	It("pull from the origin while the mirror does not answer", func(ctx SpecContext) {
		image := pushImage(ctx, connectTo(ctx, nodeOrigin), "team/app", ":80")
		DeferCleanup(func(ctx SpecContext) {
			succeed(ctx, "scale", "deployment", nodeMirror, "--replicas=1", "-n", mirror.Namespace)
			succeed(ctx, "rollout", "status", "deployment", nodeMirror, "-n", mirror.Namespace, "--timeout=60s")
		})
		succeed(ctx, "scale", "deployment", nodeMirror, "--replicas=0", "-n", mirror.Namespace)
		succeed(ctx, "wait", "pod", "-l", "app.kubernetes.io/instance="+nodeMirror, "--for=delete", "-n", mirror.Namespace, "--timeout=60s")
		expectPulledFromOrigin(ctx, namespace, image)
	})
})

// hasNodeMirrors reports whether the cluster was created with HOSTS_TOML=1.
func hasNodeMirrors(ctx context.Context) bool {
	GinkgoHelper()
	return succeed(ctx, "get", "deployment", nodeMirror, "-n", mirror.Namespace, "--ignore-not-found", "-o", "name") != ""
}

// expectWritten asserts that the pod web has the image that the user wrote, and has pulled it under that
// name.
func expectWritten(ctx context.Context, namespace, written, imageID string) {
	GinkgoHelper()
	Expect(field(ctx, namespace, "pod/web", ".spec.containers[0].image")).To(Equal(written))
	Expect(field(ctx, namespace, "pod/web", ".status.containerStatuses[0].imageID")).To(Equal(imageID))
}

// expectPulledFromOrigin runs a pod with an image that only the origin has.
func expectPulledFromOrigin(ctx SpecContext, namespace string, image uniqueImage) {
	GinkgoHelper()
	written := originHost + "/" + image.ref
	runAndWait(ctx, namespace, "web", written)
	expectWritten(ctx, namespace, written, originHost+"/"+image.pinned)
	Expect(page(ctx, namespace, "web:80", "")).To(Equal(image.page))
	Expect(registryRequests(ctx, nodeOrigin, `"GET /v2/team/app/manifests/`+image.digest+` HTTP/1.1" 200`)).
		NotTo(BeEmpty(), "the origin gets the request without the name of a mirror")
}
