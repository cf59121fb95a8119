package e2e

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// recordedPod returns a pod of realistic size as JSON. Its containers have fixed tags of
// registries that deploy/04-webhook.yaml has mirrors for. No node has its label, so the pod
// never runs.
func recordedPod(name string, containers int) string {
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/name": "shop"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			NodeSelector:                 map[string]string{recordingLabel: "never"},
			Volumes:                      []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	for i := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, recordedContainer(i))
	}
	manifest, err := json.Marshal(pod)
	if err != nil {
		panic(err) // unreachable: every pod can be encoded
	}
	return string(manifest)
}

// recordedContainer returns a small container for the first indexes, and then larger ones.
func recordedContainer(i int) corev1.Container {
	switch i {
	case 0:
		return recordedWeb()
	case 1:
		return recordedProxy()
	case 2:
		return recordedExporter()
	}
	return recordedWorker(i)
}

func recordedWeb() corev1.Container {
	return corev1.Container{
		Name: "web", Image: "nginx:1.25",
		Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		Env:       []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}},
		Resources: limited("250m", "256Mi"),
	}
}

func recordedProxy() corev1.Container {
	return corev1.Container{
		Name: "proxy", Image: "docker.io/envoyproxy/envoy:v1.31.2",
		Ports:           []corev1.ContainerPort{{Name: "admin", ContainerPort: 9901}},
		LivenessProbe:   httpProbe("/ready", "admin"),
		SecurityContext: restricted(),
	}
}

func recordedExporter() corev1.Container {
	return corev1.Container{
		Name: "exporter", Image: "registry.k8s.io/nginx/nginx-prometheus-exporter:1.3.0",
		Args:         []string{"--nginx.scrape-uri=http://127.0.0.1:8080/status"},
		Resources:    limited("10m", "32Mi"),
		VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
	}
}

// recordedWorker returns a container of a large pod. Its port is unique in the pod.
func recordedWorker(i int) corev1.Container {
	image, port := fmt.Sprintf("shop/worker-%d:2.4.%d", i, i), fmt.Sprintf("http-%d", i)
	if i%2 == 0 {
		image = "registry.k8s.io/" + image
	}
	return corev1.Container{
		Name: fmt.Sprintf("worker-%d", i), Image: image,
		Args:            []string{fmt.Sprintf("--queue=orders-%d", i), "--concurrency=4"},
		Ports:           []corev1.ContainerPort{{Name: port, ContainerPort: int32(8100 + i)}},
		Env:             []corev1.EnvVar{{Name: "QUEUE_URL", Value: "amqp://queue.shop.svc:5672"}, fieldVariable("POD_NAME", "metadata.name")},
		Resources:       limited("50m", "128Mi"),
		LivenessProbe:   httpProbe("/healthz", port),
		SecurityContext: restricted(),
	}
}

func fieldVariable(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

// limited returns a request for CPU, and memory as request and limit.
func limited(cpu, memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)},
	}
}

func httpProbe(path, port string) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(port)}}}
}

func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}
