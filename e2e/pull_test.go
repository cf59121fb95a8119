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

// The mirrors of docker.io and registry.k8s.io in the manifests' example flags.
const (
	dockerMirror = "docker.mirror.example"
	k8sMirror    = "k8s.mirror.example"
)

// These specs have the kubelet pull, and ask the mirror what it was asked for.
// Most make an image of their own: its bytes were nowhere but in the mirror, so
// whatever says them came out of it.
var _ = Describe("pull", Label(devCluster), func() {
	It("gives kubectl run --image=nginx:1.25 the image in the mirror", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		const asking = "/v2/library/nginx/manifests/1.25?ns=" + dockerMirror
		asked := len(requests(ctx, mirror.Name, asking))
		// Always, because the node may have the image from an earlier spec.
		succeed(ctx, "run", "nginx", "--image=nginx:1.25", "--image-pull-policy=Always", "-n", namespace)
		succeed(ctx, "wait", "pod/nginx", "--for=condition=Ready", "-n", namespace, "--timeout=60s")

		digest, err := connectTo(ctx, mirror.Name).Digest(ctx, "library/nginx:1.25")
		Expect(err).NotTo(HaveOccurred())
		Expect(field(ctx, namespace, "pod/nginx", ".status.containerStatuses[0].imageID")).To(Equal(dockerMirror + "/library/nginx@" + digest))
		Expect(page(ctx, namespace, "nginx:80", "")).To(Equal("This is library/nginx:1.25, a sample image that came out of the mirror.\n"))
		Expect(len(requests(ctx, mirror.Name, asking))).To(BeNumerically(">", asked), "the node asked the mirror")
		Expect(succeed(ctx, "get", "events", "--field-selector=involvedObject.name=nginx,reason=Pulled", "-n", namespace, "-o", "jsonpath={.items[*].message}")).
			To(HavePrefix(`Successfully pulled image "`+dockerMirror+`/library/nginx:1.25"`), "and did so for this pod")
	})

	DescribeTable("serves a container whose image is written", servesWritten,
		Entry("with a tag", "library/nginx", func(i ownImage) string { return short(i.ref) }, dockerMirror),
		Entry("with a digest", "library/nginx", func(i ownImage) string { return short(i.pinned) }, dockerMirror),
		Entry("with a tag and a digest", "library/nginx", func(i ownImage) string { return short(i.ref) + "@" + i.digest }, dockerMirror),
		Entry("with a registry that no rule names, which is where it comes from", "team/app", func(i ownImage) string { return unmirrored + "/" + i.ref }, unmirrored),
	)

	It("serves the pods of a Deployment", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		image := newImage(ctx, "bitnami/redis", ":6379")
		succeed(ctx, "create", "deployment", "cache", "--image="+image.ref, "-n", namespace)
		succeed(ctx, "rollout", "status", "deployment/cache", "-n", namespace, "--timeout=60s")
		Expect(field(ctx, namespace, "deployment/cache", ".spec.template.spec.containers[0].image")).To(Equal(image.ref), "as it was written")
		pod := succeed(ctx, "get", "pods", "-l", "app=cache", "-n", namespace, "-o", "jsonpath={.items[0].metadata.name}")
		Expect(field(ctx, namespace, "pod/"+pod, ".status.containerStatuses[0].imageID")).To(Equal(dockerMirror + "/" + image.pinned))
		Expect(page(ctx, namespace, pod+":6379", "")).To(Equal(image.page))
		image.expectPulled(ctx, mirror.Name, dockerMirror)
	})

	It("serves an init container and an image volume", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		first, files := newImage(ctx, "library/first", ":80"), newImage(ctx, "library/files", ":80")
		pod := withImageVolume(newPod(namespace, "nginx:1.25", first.ref), files.ref)
		user := int64(65532) // the samples' own is root
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user}
		pod.Spec.InitContainers[0].Args = []string{"--print"}
		pod.Spec.Containers[0].VolumeMounts[0].MountPath = "/www/files"
		pod.Name, pod.GenerateName = "web", ""
		Expect(client.Resources().Create(ctx, pod)).To(Succeed())
		succeed(ctx, "wait", "pod/web", "--for=condition=Ready", "-n", namespace, "--timeout=60s")

		Expect(field(ctx, namespace, "pod/web", ".status.initContainerStatuses[0].imageID")).To(Equal(dockerMirror + "/" + first.pinned))
		Expect(kubectl(ctx, "logs", "web", "-c", "init-0", "-n", namespace).Stdout).To(Equal(first.page))
		Expect(page(ctx, namespace, "web:80", "files/www/")).To(Equal(files.page), "the volume holds the image's files")
		first.expectPulled(ctx, mirror.Name, dockerMirror)
		files.expectPulled(ctx, mirror.Name, dockerMirror)
	})

	It("serves what kubectl debug adds to a running pod", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "nginx:1.25")
		image := newImage(ctx, "library/tools", ":8080")
		succeed(ctx, "debug", "pod/web", "--image="+short(image.ref), "-c", "debugger", "-n", namespace)
		succeed(ctx, "wait", "pod/web", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running}", "-n", namespace, "--timeout=60s")
		Expect(field(ctx, namespace, "pod/web", ".status.ephemeralContainerStatuses[0].imageID")).To(Equal(dockerMirror + "/" + image.pinned))
		Expect(page(ctx, namespace, "web:8080", "")).To(Equal(image.page))
		image.expectPulled(ctx, mirror.Name, dockerMirror)
	})

	It("that fails because the mirror lacks the image is said by the pod's events, not by the webhook", func(ctx SpecContext) {
		skipWherePullThrough(ctx)
		namespace := newNamespace(ctx)
		tag := "1.25-" + rand.String(8)
		Expect(kubectl(ctx, "run", "web", "--image=nginx:"+tag, "-n", namespace)).To(Equal(said{Stdout: "pod/web created\n"}))
		missing := dockerMirror + "/library/nginx:" + tag
		Eventually(func() string { return failures(ctx, namespace, "web") }).WithContext(ctx).Should(SatisfyAll(ContainSubstring(`Failed to pull image "`+missing+`"`), ContainSubstring(missing+": not found")))
		Expect(requests(ctx, mirror.Name, tag)).To(ContainElement(MatchRegexp(`"(HEAD|GET) /v2/library/nginx/manifests/` + tag + `\?ns=` + dockerMirror + ` HTTP/1\.1" 404`)))
	})

	It("from a registry whose cache cannot reach it is refused at once, and leaves nothing behind", func(ctx SpecContext) {
		_, m := openMirror(ctx)
		nowhere := mirror.Registry{Name: "nowhere", Upstream: "http://127.0.0.1:9"}
		Expect(m.Start(ctx, nowhere)).To(MatchError(MatchRegexp(`^the cache of http://127\.0\.0\.1:9 is not ready: pod nowhere-\S+ ended: registry: ` +
			`Get "http://127\.0\.0\.1:9/v2/": dial tcp 127\.0\.0\.1:9: connect: connection refused; ` +
			`leave the pull-through out where the cluster does not reach http://127\.0\.0\.1:9$`)))
		Expect(succeed(ctx, "get", "deployment,service", "-l", "app.kubernetes.io/instance=nowhere", "-n", mirror.Namespace, "-o", "name")).To(BeEmpty())
		_, err := mirror.Connect(ctx, client.RESTConfig(), nowhere.Name)
		Expect(err).To(MatchError(HavePrefix("reach the registry nowhere: it is not ready: ")))
	})

	It("through a cache brings what another registry holds", func(ctx SpecContext) {
		address := succeed(ctx, "get", "service", mirror.Name, "-n", mirror.Namespace, "-o", "jsonpath=http://{.spec.clusterIP}:{.spec.ports[0].port}")
		startRegistry(ctx, mirror.Registry{Name: "cache", Upstream: address})
		_, m := openMirror(ctx)
		Expect(m.Lead(ctx, "cache.example", "cache")).To(Succeed())
		image := newImage(ctx, "library/nginx", ":80")
		namespace := newNamespace(ctx)
		runAndWait(ctx, namespace, "web", "cache.example/"+image.ref)
		Expect(page(ctx, namespace, "web:80", "")).To(Equal(image.page))
		image.expectPulled(ctx, "cache", "cache.example")
		Expect(requests(ctx, mirror.Name, image.layer)).To(ContainElement(ContainSubstring("GET /v2/library/nginx/blobs/"+image.layer+` HTTP/1.1" 200`)), "the cache has it from there")
	})
})

// One after the other, because one of them has another mirror meanwhile. No other spec
// pulls from it.
var _ = Describe("pull from the mirror of registry.k8s.io", Label(devCluster), Ordered, ContinueOnFailure, func() {
	It("serves a container", func(ctx SpecContext) {
		servesWritten(ctx, "app", func(i ownImage) string { return "registry.k8s.io/" + i.ref }, k8sMirror)
	})

	It("needs an imagePullSecret for the mirror's host, if that is private", func(ctx SpecContext) {
		_, m := openMirror(ctx)
		startRegistry(ctx, mirror.Registry{Name: "private", Htpasswd: htpasswd})
		DeferCleanup(func(ctx SpecContext) { Expect(m.Lead(ctx, k8sMirror, mirror.Name)).To(Succeed()) })
		Expect(m.Lead(ctx, k8sMirror, "private")).To(Succeed())
		registry := connectTo(ctx, "private")
		Expect(registry.Push(ctx, "private/app:1.0", empty.Image)).To(MatchError(MatchRegexp(
			"^push private/app:1\\.0 to the registry private: .*401 Unauthorized.*; its side: `kubectl logs -n mirror deployment/private`$")))
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

		Eventually(func() string { return failures(ctx, namespace, "origin") }).WithContext(ctx).Should(ContainSubstring("authorization failed: no basic auth credentials"), "a secret for the registry that was written is of no use")
	})
})

// servesWritten runs a pod with a new image of a repository, named as written says. The
// node must fetch it from host.
func servesWritten(ctx SpecContext, repository string, written func(ownImage) string, host string) {
	GinkgoHelper()
	namespace := newNamespace(ctx)
	image := newImage(ctx, repository, ":80")
	runAndWait(ctx, namespace, "web", written(image))
	Expect(field(ctx, namespace, "pod/web", ".status.containerStatuses[0].imageID")).To(Equal(host + "/" + image.pinned))
	Expect(page(ctx, namespace, "web:80", "")).To(Equal(image.page))
	image.expectPulled(ctx, mirror.Name, host)
}

// ownRegistries are those that specs start; a run that was killed leaves them.
var ownRegistries = []string{"private", "cache", "nowhere"}

// htpasswd lets the user puller in, with the password secret.
const htpasswd = "puller:$2b$05$oGixqsB.vV1Mtn7aAF8vwOgvwpTSuhQmYQdBkIkdVdkG8pd6pw56K\n"

// ownImage is a sample that no node has ever seen.
type ownImage struct {
	ref    string // its repository and tag in the registry, as "library/nginx:1.25-x7k2p"
	pinned string // its repository and digest
	digest string // as "sha256:…"
	layer  string // the digest of its one layer
	page   string // what its web server says
}

// short is the name of an image of Docker Hub as people write it.
func short(name string) string { return strings.TrimPrefix(name, "library/") }

// newImage pushes a new image of repository to the mirror. Its web server listens
// on addr.
func newImage(ctx context.Context, repository, addr string) ownImage {
	GinkgoHelper()
	return pushImage(ctx, connectTo(ctx, mirror.Name), repository, addr)
}

func pushImage(ctx context.Context, to *mirror.Client, repository, addr string) ownImage {
	GinkgoHelper()
	i := ownImage{ref: repository + ":1.25-" + rand.String(8)}
	i.page = "This is " + i.ref + ", made for one spec.\n"
	image, err := workshop.Push(ctx, to, mirror.Sample{Name: i.ref, Addr: addr, Page: i.page})
	Expect(err).NotTo(HaveOccurred())
	digest, err := image.Digest()
	Expect(err).NotTo(HaveOccurred())
	i.digest, i.pinned = digest.String(), repository+"@"+digest.String()
	layers, err := image.Layers()
	Expect(err).NotTo(HaveOccurred())
	layer, err := layers[0].Digest()
	Expect(err).NotTo(HaveOccurred())
	i.layer = layer.String()
	return i
}

// expectPulled asserts that containerd has fetched the image, its manifest and
// its layer, from the registry called registryName when it was to pull from host.
func (i ownImage) expectPulled(ctx context.Context, registryName, host string) {
	GinkgoHelper()
	repository, _, _ := strings.Cut(i.ref, ":")
	for _, part := range []string{"manifests/" + i.digest, "blobs/" + i.layer} {
		request := fmt.Sprintf(`"GET /v2/%s/%s?ns=%s HTTP/1.1" 200 `, repository, part, host)
		Expect(requests(ctx, registryName, repository)).To(ContainElement(MatchRegexp(regexp.QuoteMeta(request) + `.*"containerd/`)))
	}
}

// requests are the lines about something in the log of the registry called name,
// which has one for each request.
func requests(ctx context.Context, name, about string) []string {
	GinkgoHelper()
	log := execKubectl(ctx, "", "logs", "deployment/"+name, "-n", mirror.Namespace)
	Expect(log.Exit).To(BeZero(), log.Stderr)
	return slices.DeleteFunc(strings.Split(log.Stdout, "\n"), func(line string) bool { return !strings.Contains(line, about) })
}

// keepLog writes what is known of the registry called name into the artifacts. It
// is best effort.
func keepLog(ctx context.Context, name string) {
	GinkgoHelper()
	instance := "app.kubernetes.io/instance=" + name
	var known commands
	for _, args := range [][]string{
		{"get", "pods", "-o", "wide", "-l", instance, "-n", mirror.Namespace},
		{"get", "events", "--sort-by=.lastTimestamp", "-n", mirror.Namespace},
		{"logs", "-l", instance, "--tail=-1", "-n", mirror.Namespace},
	} {
		known.add(strings.Join(args, " "), execKubectl(ctx, "", args...))
	}
	keeper(filepath.Join("..", "artifacts")).text("registry-"+name+".log", known.String())
}

// failures are the messages of a pod's events that say what failed.
func failures(ctx context.Context, namespace, pod string) string {
	GinkgoHelper()
	return succeed(ctx, "get", "events", "--field-selector=involvedObject.name="+pod+",reason=Failed", "-n", namespace, "-o", "jsonpath={.items[*].message}")
}

// page is what a pod serves at a path, as soon as it serves; pod is its name and
// port.
func page(ctx context.Context, namespace, pod, path string) string {
	GinkgoHelper()
	var answer said
	Eventually(func() int {
		answer = kubectl(ctx, "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/proxy/"+path)
		return answer.Exit
	}).WithContext(ctx).Should(BeZero())
	return answer.Stdout
}

// connectTo speaks with the registry called name until the spec ends.
func connectTo(ctx context.Context, name string) *mirror.Client {
	GinkgoHelper()
	registry, err := mirror.Connect(ctx, client.RESTConfig(), name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(registry.Close)
	return registry
}

// skipWherePullThrough keeps a spec from asking registries outside of the cluster
// for what the mirror lacks.
func skipWherePullThrough(ctx context.Context) {
	GinkgoHelper()
	if succeed(ctx, "get", "deployment", "docker-cache", "-n", mirror.Namespace, "--ignore-not-found", "-o", "name") != "" {
		Skip("the mirror of this cluster was made with PULL_THROUGH=1")
	}
}

// openMirror is the suite's cluster and its mirror, for a spec that changes them.
func openMirror(ctx context.Context) (*devcluster.Cluster, *mirror.Mirror) {
	GinkgoHelper()
	quiet := progress.New(GinkgoWriter)
	c, err := devcluster.Open(ctx, target.cluster, quiet)
	Expect(err).NotTo(HaveOccurred())
	m, err := mirror.Open(c, quiet)
	Expect(err).NotTo(HaveOccurred())
	return c, m
}

// startRegistry runs a registry for one spec.
func startRegistry(ctx context.Context, registry mirror.Registry) {
	GinkgoHelper()
	_, m := openMirror(ctx)
	DeferCleanup(func(ctx SpecContext) {
		keepLog(ctx, registry.Name)
		Expect(m.Remove(ctx, registry.Name)).To(Succeed())
	})
	Expect(m.Start(ctx, registry)).To(Succeed())
}
