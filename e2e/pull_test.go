package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// dockerMirror and k8sMirror are the example mirrors in the policy file of the manifests.
const (
	dockerMirror = "docker.mirror.example"
	k8sMirror    = "k8s.mirror.example"
)

// In these specs the kubelet pulls images, and the mirror's log contains its requests. Most
// specs push a unique image to the mirror, so a pod that serves its content must have pulled
// it from there.
var _ = Describe("pull", Label(devCluster), func() {
	It("gets the image of kubectl run --image=nginx:1.25 from the mirror", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		const manifestRequest = "/v2/library/nginx/manifests/1.25?ns=" + dockerMirror
		previousRequests := len(registryRequests(ctx, mirror.Name, manifestRequest))
		// Always, because the node may have the image from an earlier spec.
		succeed(ctx, "run", "nginx", "--image=nginx:1.25", "--image-pull-policy=Always", "-n", namespace)
		succeed(ctx, "wait", "pod/nginx", "--for=condition=Ready", "-n", namespace, "--timeout=60s")

		digest, err := connectTo(ctx, mirror.Name).Digest(ctx, "library/nginx:1.25")
		Expect(err).NotTo(HaveOccurred())
		Expect(field(ctx, namespace, "pod/nginx", ".status.containerStatuses[0].imageID")).To(Equal(dockerMirror + "/library/nginx@" + digest))
		Expect(page(ctx, namespace, "nginx:80", "")).To(Equal("This is library/nginx:1.25, a sample image from the mirror.\n"))
		Expect(len(registryRequests(ctx, mirror.Name, manifestRequest))).To(BeNumerically(">", previousRequests), "the node sends a request to the mirror")
		Expect(succeed(ctx, "get", "events", "--field-selector=involvedObject.name=nginx,reason=Pulled", "-n", namespace, "-o", "jsonpath={.items[*].message}")).
			To(HavePrefix(`Successfully pulled image "`+dockerMirror+`/library/nginx:1.25"`), "the kubelet pulls the image for this pod")
	})

	DescribeTable("works for a container image", expectPulledAndServed,
		Entry("with a tag", "library/nginx", func(image uniqueImage) string { return shortName(image.ref) }, dockerMirror),
		Entry("with a digest", "library/nginx", func(image uniqueImage) string { return shortName(image.pinned) }, dockerMirror),
		Entry("with a tag and a digest", "library/nginx", func(image uniqueImage) string { return shortName(image.ref) + "@" + image.digest }, dockerMirror),
		Entry("with a registry without a mirror rule, from that registry", "team/app", func(image uniqueImage) string { return unmirrored + "/" + image.ref }, unmirrored),
	)

	It("works for the pods of a Deployment", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		image := newImage(ctx, "bitnami/redis", ":6379")
		succeed(ctx, "create", "deployment", "cache", "--image="+image.ref, "-n", namespace)
		succeed(ctx, "rollout", "status", "deployment/cache", "-n", namespace, "--timeout=60s")
		Expect(field(ctx, namespace, "deployment/cache", ".spec.template.spec.containers[0].image")).To(Equal(image.ref), "the Deployment is unchanged")
		pod := succeed(ctx, "get", "pods", "-l", "app=cache", "-n", namespace, "-o", "jsonpath={.items[0].metadata.name}")
		Expect(field(ctx, namespace, "pod/"+pod, ".status.containerStatuses[0].imageID")).To(Equal(dockerMirror + "/" + image.pinned))
		Expect(page(ctx, namespace, pod+":6379", "")).To(Equal(image.page))
		image.expectPulled(ctx, mirror.Name, dockerMirror)
	})

	It("works for an init container and an image volume", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		initImage, volumeImage := newImage(ctx, "library/first", ":80"), newImage(ctx, "library/files", ":80")
		pod := withImageVolume(newPod(namespace, "nginx:1.25", initImage.ref), volumeImage.ref)
		user := int64(65532) // the sample images run as root by default
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user}
		pod.Spec.InitContainers[0].Args = []string{"--print"}
		pod.Spec.Containers[0].VolumeMounts[0].MountPath = "/www/files"
		pod.Name, pod.GenerateName = "web", ""
		Expect(client.Resources().Create(ctx, pod)).To(Succeed())
		succeed(ctx, "wait", "pod/web", "--for=condition=Ready", "-n", namespace, "--timeout=60s")

		Expect(field(ctx, namespace, "pod/web", ".status.initContainerStatuses[0].imageID")).To(Equal(dockerMirror + "/" + initImage.pinned))
		Expect(kubectl(ctx, "logs", "web", "-c", "init-0", "-n", namespace).Stdout).To(Equal(initImage.page))
		Expect(page(ctx, namespace, "web:80", "files/www/")).To(Equal(volumeImage.page), "the volume has the files of the image")
		initImage.expectPulled(ctx, mirror.Name, dockerMirror)
		volumeImage.expectPulled(ctx, mirror.Name, dockerMirror)
	})

	It("works for the container that kubectl debug adds to a running pod", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")
		image := newImage(ctx, "library/tools", ":8080")
		succeed(ctx, "debug", "pod/web", "--image="+shortName(image.ref), "-c", "debugger", "-n", namespace)
		succeed(ctx, "wait", "pod/web", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running}", "-n", namespace, "--timeout=60s")
		Expect(field(ctx, namespace, "pod/web", ".status.ephemeralContainerStatuses[0].imageID")).To(Equal(dockerMirror + "/" + image.pinned))
		Expect(page(ctx, namespace, "web:8080", "")).To(Equal(image.page))
		image.expectPulled(ctx, mirror.Name, dockerMirror)
	})

	It("fails with an event of the pod, not with a denial, if the mirror does not have the image", func(ctx SpecContext) {
		skipIfPullThrough(ctx)
		namespace := newNamespace(ctx)
		tag := "1.25-" + rand.String(8)
		Expect(kubectl(ctx, "run", "web", "--image=nginx:"+tag, "-n", namespace)).To(Equal(result{Stdout: "pod/web created\n"}))
		missing := dockerMirror + "/library/nginx:" + tag
		Eventually(func() string { return failedEvents(ctx, namespace, "web") }).WithContext(ctx).Should(SatisfyAll(ContainSubstring(`Failed to pull image "`+missing+`"`), ContainSubstring(missing+": not found")))
		Expect(registryRequests(ctx, mirror.Name, tag)).To(ContainElement(MatchRegexp(`"(HEAD|GET) /v2/library/nginx/manifests/` + tag + `\?ns=` + dockerMirror + ` HTTP/1\.1" 404`)))
	})

	It("through a cache is not set up if the cache cannot reach its upstream registry", func(ctx SpecContext) {
		_, m := openMirror(ctx)
		nowhere := mirror.Registry{Name: "nowhere", Upstream: "http://127.0.0.1:9"}
		Expect(m.Start(ctx, nowhere)).To(MatchError(MatchRegexp(`^start the cache of http://127\.0\.0\.1:9: ` +
			`pod nowhere-\S+: container registry ended with exit code 1: Error: registry: ` +
			`Get "http://127\.0\.0\.1:9/v2/": dial tcp 127\.0\.0\.1:9: connect: connection refused: ` +
			`do not enable pull-through if the cluster cannot reach http://127\.0\.0\.1:9$`)))
		Expect(succeed(ctx, "get", "deployment,service", "-l", "app.kubernetes.io/instance=nowhere", "-n", mirror.Namespace, "-o", "name")).To(BeEmpty())
		_, err := mirror.Connect(ctx, client.RESTConfig(), nowhere.Name)
		Expect(err).To(MatchError(HavePrefix("connect to the registry nowhere: it is not ready: ")))
	})

	It("through a cache gets images of the upstream registry", func(ctx SpecContext) {
		address := succeed(ctx, "get", "service", mirror.Name, "-n", mirror.Namespace, "-o", "jsonpath=http://{.spec.clusterIP}:{.spec.ports[0].port}")
		startRegistry(ctx, mirror.Registry{Name: "cache", Upstream: address})
		_, m := openMirror(ctx)
		Expect(m.RouteHost(ctx, "cache.example", "cache")).To(Succeed())
		image := newImage(ctx, "library/nginx", ":80")
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "cache.example/"+image.ref)
		Expect(page(ctx, namespace, "web:80", "")).To(Equal(image.page))
		image.expectPulled(ctx, "cache", "cache.example")
		Expect(registryRequests(ctx, mirror.Name, image.layer)).To(ContainElement(ContainSubstring("GET /v2/library/nginx/blobs/"+image.layer+` HTTP/1.1" 200`)), "the cache gets the layer from the upstream registry")
	})
})

// Ordered, because the second spec changes the mirror of registry.k8s.io. No spec outside of
// this container pulls from that mirror.
var _ = Describe("pull from the mirror of registry.k8s.io", Label(devCluster), Ordered, ContinueOnFailure, func() {
	It("works for a container", func(ctx SpecContext) {
		expectPulledAndServed(ctx, "app", func(image uniqueImage) string { return "registry.k8s.io/" + image.ref }, k8sMirror)
	})

	It("needs an imagePullSecret for the mirror's host if the mirror is private", func(ctx SpecContext) {
		_, m := openMirror(ctx)
		startRegistry(ctx, mirror.Registry{Name: "private", Htpasswd: htpasswd})
		DeferCleanup(func(ctx SpecContext) { Expect(m.RouteHost(ctx, k8sMirror, mirror.Name)).To(Succeed()) })
		Expect(m.RouteHost(ctx, k8sMirror, "private")).To(Succeed())
		registry := connectTo(ctx, "private")
		Expect(registry.Push(ctx, "private/app:1.0", empty.Image)).To(MatchError(MatchRegexp(
			"^push private/app:1\\.0 to the registry private: .*401 Unauthorized.*: run `kubectl logs -n mirror deployment/private` for details$")))
		image := pushImage(ctx, registry.WithPassword("puller", "secret"), "private/app", ":80")
		namespace := newNamespace(ctx)
		for _, secret := range []struct{ name, server string }{{"origin", "registry.k8s.io"}, {"mirror", k8sMirror}} {
			succeed(ctx, "create", "secret", "docker-registry", secret.name, "--docker-server="+secret.server,
				"--docker-username=puller", "--docker-password=secret", "-n", namespace)
			succeed(ctx, "run", secret.name, "--image=registry.k8s.io/"+image.ref, "--image-pull-policy=Always", "-n", namespace,
				`--overrides={"spec":{"imagePullSecrets":[{"name":"`+secret.name+`"}]}}`)
		}
		succeed(ctx, "wait", "pod/mirror", "--for=condition=Ready", "-n", namespace, "--timeout=60s")
		Expect(page(ctx, namespace, "mirror:80", "")).To(Equal(image.page))
		image.expectPulled(ctx, "private", k8sMirror)

		Eventually(func() string { return failedEvents(ctx, namespace, "origin") }).WithContext(ctx).Should(ContainSubstring("authorization failed: no basic auth credentials"), "a Secret for the registry in the original reference is not used")
	})
})

// expectPulledAndServed runs a pod with a new image of a repository. reference returns the
// reference in the pod. The node must pull the image from host.
func expectPulledAndServed(ctx SpecContext, repository string, reference func(uniqueImage) string, host string) {
	GinkgoHelper()
	namespace := newNamespace(ctx)
	image := newImage(ctx, repository, ":80")
	runAndWait(ctx, namespace, "web", reference(image))
	Expect(field(ctx, namespace, "pod/web", ".status.containerStatuses[0].imageID")).To(Equal(host + "/" + image.pinned))
	Expect(page(ctx, namespace, "web:80", "")).To(Equal(image.page))
	image.expectPulled(ctx, mirror.Name, host)
}

// specRegistries are the registries that specs start. A killed run may leave them behind.
var specRegistries = []string{"private", "cache", "nowhere"}

// htpasswd has the user puller with the password secret.
const htpasswd = "puller:$2b$05$oGixqsB.vV1Mtn7aAF8vwOgvwpTSuhQmYQdBkIkdVdkG8pd6pw56K\n"

// uniqueImage is a sample image that no node has pulled before.
type uniqueImage struct {
	ref    string // the repository and tag in the registry, such as "library/nginx:1.25-x7k2p"
	pinned string // the repository and digest
	digest string // such as "sha256:…"
	layer  string // the digest of its only layer
	page   string // the content that its web server serves
}

// shortName returns the short name of a Docker Hub image.
func shortName(name string) string { return strings.TrimPrefix(name, "library/") }

// newImage pushes a new image of a repository to the mirror. The web server in it listens
// on addr.
func newImage(ctx context.Context, repository, addr string) uniqueImage {
	GinkgoHelper()
	return pushImage(ctx, connectTo(ctx, mirror.Name), repository, addr)
}

func pushImage(ctx context.Context, registry *mirror.Client, repository, addr string) uniqueImage {
	GinkgoHelper()
	image := uniqueImage{ref: repository + ":1.25-" + rand.String(8)}
	image.page = "This is " + image.ref + ", made for one spec.\n"
	pushed, err := sampleBuilder.Push(ctx, registry, mirror.Sample{Name: image.ref, Addr: addr, Page: image.page})
	Expect(err).NotTo(HaveOccurred())
	digest, err := pushed.Digest()
	Expect(err).NotTo(HaveOccurred())
	image.digest, image.pinned = digest.String(), repository+"@"+digest.String()
	layers, err := pushed.Layers()
	Expect(err).NotTo(HaveOccurred())
	layer, err := layers[0].Digest()
	Expect(err).NotTo(HaveOccurred())
	image.layer = layer.String()
	return image
}

// expectPulled asserts that the registry registryName has served the manifest and the layer
// of the image to containerd, as a mirror of host.
func (image uniqueImage) expectPulled(ctx context.Context, registryName, host string) {
	GinkgoHelper()
	repository, _, _ := strings.Cut(image.ref, ":")
	for _, path := range []string{"manifests/" + image.digest, "blobs/" + image.layer} {
		request := fmt.Sprintf(`"GET /v2/%s/%s?ns=%s HTTP/1.1" 200 `, repository, path, host)
		Expect(registryRequests(ctx, registryName, repository)).To(ContainElement(MatchRegexp(regexp.QuoteMeta(request) + `.*"containerd/`)))
	}
}

// registryRequests returns the lines of a registry's log that contain substring. The log has
// one line per request.
func registryRequests(ctx context.Context, name, substring string) []string {
	GinkgoHelper()
	log := execKubectl(ctx, "", "logs", "deployment/"+name, "-n", mirror.Namespace)
	Expect(log.Exit).To(BeZero(), log.Stderr)
	return slices.DeleteFunc(strings.Split(log.Stdout, "\n"), func(line string) bool { return !strings.Contains(line, substring) })
}

// saveRegistryLog writes the pods, events and logs of a registry to artifacts/. It is best
// effort.
func saveRegistryLog(ctx context.Context, name string) {
	GinkgoHelper()
	instance := "app.kubernetes.io/instance=" + name
	var log commandLog
	for _, args := range [][]string{
		{"get", "pods", "-o", "wide", "-l", instance, "-n", mirror.Namespace},
		{"get", "events", "--sort-by=.lastTimestamp", "-n", mirror.Namespace},
		{"logs", "-l", instance, "--tail=-1", "-n", mirror.Namespace},
	} {
		log.add(strings.Join(args, " "), execKubectl(ctx, "", args...))
	}
	artifactDir(filepath.Join("..", "artifacts")).write("registry-"+name+".log", log.String())
}

// failedEvents returns the messages of a pod's events with the reason Failed.
func failedEvents(ctx context.Context, namespace, pod string) string {
	GinkgoHelper()
	return succeed(ctx, "get", "events", "--field-selector=involvedObject.name="+pod+",reason=Failed", "-n", namespace, "-o", "jsonpath={.items[*].message}")
}

// page waits until a pod, NAME:PORT, serves a path, and returns the content.
func page(ctx context.Context, namespace, pod, path string) string {
	GinkgoHelper()
	var got result
	Eventually(func() int {
		got = kubectl(ctx, "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/proxy/"+path)
		return got.Exit
	}).WithContext(ctx).Should(BeZero())
	return got.Stdout
}

// connectTo opens a connection to a registry. It is closed when the spec ends.
func connectTo(ctx context.Context, name string) *mirror.Client {
	GinkgoHelper()
	registry, err := mirror.Connect(ctx, client.RESTConfig(), name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(registry.Close)
	return registry
}

// skipIfPullThrough skips the spec if the mirror would forward requests for missing images
// to registries outside of the cluster.
func skipIfPullThrough(ctx context.Context) {
	GinkgoHelper()
	if succeed(ctx, "get", "deployment", "docker-cache", "-n", mirror.Namespace, "--ignore-not-found", "-o", "name") != "" {
		Skip("the mirror of this cluster was installed with PULL_THROUGH=1")
	}
}

// openMirror returns the suite's cluster and its mirror, for a spec that changes them.
func openMirror(ctx context.Context) (*devcluster.Cluster, *mirror.Mirror) {
	GinkgoHelper()
	reporter := progress.New(GinkgoWriter)
	cluster, err := devcluster.Open(ctx, target.cluster, reporter)
	Expect(err).NotTo(HaveOccurred())
	m, err := mirror.Open(cluster, reporter)
	Expect(err).NotTo(HaveOccurred())
	return cluster, m
}

// startRegistry runs a registry for one spec.
func startRegistry(ctx context.Context, registry mirror.Registry) {
	GinkgoHelper()
	_, m := openMirror(ctx)
	DeferCleanup(func(ctx SpecContext) {
		saveRegistryLog(ctx, registry.Name)
		Expect(m.Remove(ctx, registry.Name)).To(Succeed())
	})
	Expect(m.Start(ctx, registry)).To(Succeed())
}
