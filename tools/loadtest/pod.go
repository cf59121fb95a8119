package loadtest

import (
	"fmt"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// newContainers yields the containers of a pod whose images are new, by the JSON pointer of the
// image. old is nil unless the pod is updated.
func newContainers(pod, old *corev1.Pod) iter.Seq2[string, *corev1.Container] {
	if old == nil {
		old = &corev1.Pod{}
	}
	return func(yield func(string, *corev1.Container) bool) {
		_ = yieldNew("/spec/initContainers", pod.Spec.InitContainers, old.Spec.InitContainers, yield) &&
			yieldNew("/spec/containers", pod.Spec.Containers, old.Spec.Containers, yield)
	}
}

// yieldNew yields the new containers of one list, and reports whether the caller wants more.
func yieldNew(list string, containers, old []corev1.Container, yield func(string, *corev1.Container) bool) bool {
	for i := range containers {
		c := &containers[i]
		if !hasImage(old, i, c) && !yield(fmt.Sprintf("%s/%d/image", list, i), c) {
			return false
		}
	}
	return true
}

// hasImage reports whether a list has a container with the same name and image. It checks the same
// index first, because the containers of a pod cannot be moved.
func hasImage(list []corev1.Container, i int, c *corev1.Container) bool {
	return i < len(list) && list[i].Name == c.Name && list[i].Image == c.Image
}

// mirrorOf returns an image on its mirror, by MirrorRules. It is as simple as in most webhooks, and
// sufficient for the recorded reviews.
func mirrorOf(image string) (mirrored string, ok bool) {
	switch registry, repository := splitRegistry(image); registry {
	case "docker.io":
		return "docker.mirror.example/" + repository, true
	case "registry.k8s.io":
		return "k8s.mirror.example/" + repository, true
	}
	return image, false
}

// splitRegistry returns the registry of an image, and the rest.
func splitRegistry(image string) (registry, repository string) {
	first, rest, found := strings.Cut(image, "/")
	switch {
	case !found:
		return "docker.io", "library/" + image
	case strings.ContainsAny(first, ".:"):
		return first, rest
	}
	return "docker.io", image
}

// isLatest reports whether an image has the tag latest, or neither a tag nor a digest.
func isLatest(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	_, tag, found := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return !found || tag == "latest"
}

// latestImage returns the first new image with the tag latest.
func latestImage(pod, old *corev1.Pod) (image string, found bool) {
	for _, c := range newContainers(pod, old) {
		if isLatest(c.Image) {
			return c.Image, true
		}
	}
	return "", false
}
