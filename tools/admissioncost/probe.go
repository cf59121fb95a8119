package admissioncost

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Images that the policy file of deploy/04 mirrors and denies.
const (
	mirroredImage = "nginx:1.25"
	deniedImage   = "registry.example/app:latest"
)

// probe creates a pod with an image as a dry run. The optional volume has an image too.
func probe(ctx context.Context, client kubernetes.Interface, namespace, image, volume string) (*corev1.Pod, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: image}}},
	}
	if volume != "" {
		pod.Spec.Volumes = []corev1.Volume{{Name: "image", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: volume}}}}
	}
	return client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// isMirrored reports whether the API server admits a pod and changes its image.
func isMirrored(ctx context.Context, client kubernetes.Interface, namespace string) bool {
	pod, err := probe(ctx, client, namespace, mirroredImage, "")
	return err == nil && pod.Spec.Containers[0].Image != mirroredImage
}

// isDenied reports whether the API server denies a pod with the image of a volume, which the plugin
// ImagePolicyWebhook does not check. The other image of the pod is allowed.
func isDenied(ctx context.Context, client kubernetes.Interface, namespace string) bool {
	_, err := probe(ctx, client, namespace, mirroredImage, deniedImage)
	return err != nil
}
