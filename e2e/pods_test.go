package e2e

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// standIns are on the nodes under the names that the mirrors give them, so that
// pods with them run where no registry can be reached.
var standIns = []string{"docker.mirror.example/library/nginx:1.25", "k8s.mirror.example/pause:3.10"}

// pinned is a digest that no test ever pulls.
const pinned = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// newPod is a pod that Pod Security "restricted" admits, so that whatever
// refuses it, it is not that. Its init containers are given by initImages.
func newPod(namespace, image string, initImages ...string) *corev1.Pod {
	no, yes := false, true
	container := func(name, image string) corev1.Container {
		return corev1.Container{Name: name, Image: image, SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			RunAsNonRoot:             &yes,
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

// dryRun creates the pod as far as the API server can without keeping it: the
// whole admission chain runs, and no node ever pulls an image.
func dryRun(ctx context.Context, pod *corev1.Pod) error {
	return client.Resources().Create(ctx, pod, func(o *metav1.CreateOptions) {
		o.DryRun = []string{metav1.DryRunAll}
	})
}
