package e2e

import (
	"context"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
)

// samples are the images in the mirror, in addition to mirror.Samples. Pods that use them
// run without access to any other registry. Nodes pull httpd from a registry without a
// mirror rule: see unmirrored.
var samples = append([]mirror.Sample{
	{Name: "library/nginx:1.26", Addr: ":80"},
	{Name: "library/busybox:1.36"},
	{Name: "httpd:latest", Addr: ":80"},
}, mirror.Samples...)

// unmirrored is a registry without a mirror rule in the manifests. The nodes are configured
// to pull its images from the registry in the cluster.
const unmirrored = "registry.example"

// pinned is a digest that is never pulled.
const pinned = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// newPod returns a pod with one container, and one init container per element of initImages.
// It meets the Pod Security Standard "restricted", so that only the webhook can deny it.
func newPod(namespace, image string, initImages ...string) *corev1.Pod {
	container := func(name, image string) corev1.Container {
		return corev1.Container{Name: name, Image: image, SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			RunAsNonRoot:             new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-", Namespace: namespace},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{container("web", image)}},
	}
	for i, image := range initImages {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, container("init-"+strconv.Itoa(i), image))
	}
	return pod
}

// dryRun creates the pod with a server-side dry run: the whole admission chain runs, but
// the pod is not stored and no node pulls an image.
func dryRun(ctx context.Context, pod *corev1.Pod) error {
	return client.Resources().Create(ctx, pod, func(o *metav1.CreateOptions) {
		o.DryRun = []string{metav1.DryRunAll}
	})
}

// withImageVolume adds an image volume to the pod and returns it.
func withImageVolume(pod *corev1.Pod, image string) *corev1.Pod {
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "files", VolumeSource: corev1.VolumeSource{
		Image: &corev1.ImageVolumeSource{Reference: image, PullPolicy: corev1.PullIfNotPresent},
	}})
	mount := corev1.VolumeMount{Name: "files", MountPath: "/files"}
	pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, mount)
	return pod
}

// runAndWait starts a pod with `kubectl run` and waits until it is ready.
func runAndWait(ctx context.Context, namespace, name, image string) {
	GinkgoHelper()
	succeed(ctx, "run", name, "--image="+image, "--image-pull-policy=IfNotPresent", "-n", namespace)
	succeed(ctx, "wait", "pod/"+name, "--for=condition=Ready", "-n", namespace, "--timeout=60s")
}

// field returns the value at a JSONPath of an object.
func field(ctx context.Context, namespace, object, path string) string {
	GinkgoHelper()
	return succeed(ctx, "get", object, "-n", namespace, "-o", "jsonpath={"+path+"}")
}
