package admissioncost

import (
	"bytes"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// image is the image of the first container.
const image = "nginx:1.29.1"

// numberImage returns a pod of newPod whose first image has another tag, of the same length.
func numberImage(pod []byte, n int64) []byte {
	return bytes.Replace(pod, []byte(image), fmt.Appendf(nil, "nginx:%06d", n%1_000_000), 1)
}

// newPod returns the pod of all arms, in JSON. It is like a pod of a Deployment. The images of two
// of its three containers have a mirror.
func newPod() []byte {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "web-7d4b9c6f5d-",
			Labels:       map[string]string{"app.kubernetes.io/name": "web", "pod-template-hash": "7d4b9c6f5d"},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{
				newContainer("web", image, 8080),
				newContainer("metrics", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.17.0", 9113),
				newContainer("sidecar", "quay.io/shop/sidecar:1.4", 9000),
			},
			Volumes: []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}}}},
			},
		},
	}
	body, err := json.Marshal(pod)
	if err != nil {
		panic(err) // the types can always be encoded
	}
	return body
}

func newContainer(name, image string, port int32) corev1.Container {
	return corev1.Container{
		Name: name, Image: image,
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/" + name, ReadOnly: true}},
	}
}
