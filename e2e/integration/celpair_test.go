package integration

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/admissioncost"
)

// celCase is a pod for which the webhooks and the CEL policies of `loadtest apiserver` must have
// the same result.
type celCase struct {
	name   string
	spec   corev1.PodSpec
	meta   metav1.ObjectMeta
	stored []string // the images after the request; nil: the request is denied
}

// containersWith returns one container for each image.
func containersWith(images ...string) (containers []corev1.Container) {
	for i, image := range images {
		containers = append(containers, corev1.Container{Name: "it-" + strconv.Itoa(i), Image: image})
	}
	return containers
}

// imageVolume returns a pod spec with an image volume, beside another volume.
func imageVolume(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: containersWith(allowedImage), Volumes: []corev1.Volume{
		{Name: "empty", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}}},
	}}
}

// initContainers returns a pod spec with init containers.
func initContainers(images ...string) corev1.PodSpec {
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: allowedImage}}}
	spec.InitContainers = containersWith(images...)
	return spec
}

// celCases are the cases. allowedImage has no mirror.
var celCases = []celCase{
	{
		name: "on Docker Hub",
		spec: corev1.PodSpec{Containers: containersWith("nginx:1", "team/app:1", "docker.io/nginx:1", "docker.io/library/nginx:1", "index.docker.io/nginx:1", "index.docker.io/a/b/c:1")},
		stored: []string{
			"docker.mirror.example/library/nginx:1", "docker.mirror.example/team/app:1", "docker.mirror.example/library/nginx:1",
			"docker.mirror.example/library/nginx:1", "docker.mirror.example/library/nginx:1", "docker.mirror.example/a/b/c:1",
		},
	},
	{
		name:   "without a mirror",
		spec:   corev1.PodSpec{Containers: containersWith("quay.io/team/app:1", "localhost/app:1", "localhost:5000/app:1", "registry:5000/a/b:1", "Registry/app:1", "docker.mirror.example/app:1")},
		stored: []string{"quay.io/team/app:1", "localhost/app:1", "localhost:5000/app:1", "registry:5000/a/b:1", "Registry/app:1", "docker.mirror.example/app:1"},
	},
	{
		name:   "with a digest",
		spec:   corev1.PodSpec{Containers: containersWith("nginx:latest"+pinned, "quay.io/team/app"+pinned)},
		stored: []string{"docker.mirror.example/library/nginx:latest" + pinned, "quay.io/team/app" + pinned},
	},
	{
		name:   "init containers",
		spec:   initContainers("registry.k8s.io/pause:3.10", "docker.io/bitnami/redis:7"),
		stored: []string{allowedImage, "k8s.mirror.example/pause:3.10", "docker.mirror.example/bitnami/redis:7"},
	},
	{name: "image volume", spec: imageVolume("team/model:2"), stored: []string{allowedImage, "docker.mirror.example/team/model:2"}},
	{name: "latest", spec: corev1.PodSpec{Containers: containersWith(allowedImage, "quay.io/team/app:latest")}},
	{name: "untagged", spec: corev1.PodSpec{Containers: containersWith("nginx")}},
	{name: "port without a tag", spec: corev1.PodSpec{Containers: containersWith("registry:5000/app")}},
	{name: "latest in an init container", spec: initContainers(allowedImage, "nginx:latest")},
	{name: "untagged image volume", spec: imageVolume("quay.io/team/model")},
	{
		name: "static pod", spec: corev1.PodSpec{Containers: containersWith("nginx:latest"), NodeName: "node"},
		meta:   metav1.ObjectMeta{Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"}},
		stored: []string{"nginx:latest"},
	},
	{
		name: "CloudNativePG", spec: corev1.PodSpec{Containers: containersWith("nginx:1.25")},
		meta:   metav1.ObjectMeta{Labels: map[string]string{"cnpg.io/podRole": "instance"}},
		stored: []string{"nginx:1.25"},
	},
}

func TestCELPairHasTheResultsOfTheWebhooks(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	installed, err := admissioncost.InstalledWebhooks(t.Context(), server.client)
	if err != nil {
		t.Fatal(err)
	}
	namespaces := map[string]string{
		"webhooks": server.namespace(t, map[string]string{"image-webhook.dev/mode": "deny"}),
		"CEL":      server.namespace(t, map[string]string{"image-webhook.dev/mode": "off"}),
	}
	pair := admissioncost.NewCELPair(namespaces["CEL"], nil, installed)
	if err := pair.Create(t.Context(), server.client); err != nil {
		t.Fatal(err)
	}
	if !pair.Mutates() {
		t.Skip("this Kubernetes version has no MutatingAdmissionPolicy v1")
	}
	if err := pair.WaitActive(t.Context(), server.client); err != nil {
		t.Fatal(err)
	}
	for side, namespace := range namespaces {
		for _, c := range celCases {
			t.Run(side+"/"+c.name, func(t *testing.T) {
				pod := &corev1.Pod{ObjectMeta: c.meta, Spec: c.spec}
				pod.Name, pod.Namespace = "web", namespace
				if diff := cmp.Diff(c.stored, server.storedImages(t, pod)); diff != "" {
					t.Errorf("images (-want +got):\n%s", diff)
				}
			})
		}
		t.Run(side+"/ephemeral containers", func(t *testing.T) { server.testEphemeralContainers(t, namespace) })
	}
}

// storedImages creates a pod as a dry run and returns its images, or nil if it is denied.
func (s *testServer) storedImages(t *testing.T, pod *corev1.Pod) []string {
	t.Helper()
	created, err := s.dryRun(t, pod)
	if err != nil && strings.Contains(err.Error(), " denied ") {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return podImages(created)
}

func podImages(pod *corev1.Pod) (images []string) {
	for _, c := range pod.Spec.Containers {
		images = append(images, c.Image)
	}
	for _, c := range pod.Spec.InitContainers {
		images = append(images, c.Image)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		images = append(images, c.Image)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil {
			images = append(images, v.Image.Reference)
		}
	}
	return images
}

// testEphemeralContainers checks updates of a pod that exists.
func (s *testServer) testEphemeralContainers(t *testing.T, namespace string) {
	_, err := s.create(t, newPod(namespace, "web", allowedImage))
	mustAdmit(t, err)
	mustAdmit(t, s.labelPod(t.Context(), namespace, "web"))
	if _, err := s.debug(t, namespace, "web", `{"name":"debug","image":"busybox:latest"}`); err == nil {
		t.Error("an ephemeral container with the tag latest is admitted")
	}
	debugged, err := s.debug(t, namespace, "web", `{"name":"debug","image":"busybox:1"}`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{allowedImage, "docker.mirror.example/library/busybox:1"}, podImages(debugged)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}
