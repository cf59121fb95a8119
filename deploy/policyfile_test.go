package deploy_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/webhook/policy"
)

// policyOf returns the policy file in manifests, which must be valid.
func policyOf(t *testing.T, objects []object) policy.ImagePolicy {
	t.Helper()
	file, err := policy.Parse("policy.yaml", []byte(policyTextOf(t, objects)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Rules(policy.Flags{}); err != nil {
		t.Fatal(err)
	}
	return file.ImagePolicy
}

// policyTextOf returns the policy file in manifests, as text.
func policyTextOf(t *testing.T, objects []object) string {
	t.Helper()
	configMap := objectOfType[*corev1.ConfigMap](t, objects)
	if configMap.Name != "image-policy" || len(configMap.Data) != 1 || configMap.Data["policy.yaml"] == "" {
		t.Fatalf("ConfigMap %s has data %q, want image-policy with policy.yaml", configMap.Name, configMap.Data)
	}
	return configMap.Data["policy.yaml"]
}

func TestPolicyFileHasTheExamples(t *testing.T) {
	want := policy.ImagePolicy{
		APIVersion: policy.APIVersion, Kind: policy.Kind,
		Mirrors:        []policy.Mirror{{Source: "docker.io", Mirror: "docker.mirror.example"}, {Source: "registry.k8s.io", Mirror: "k8s.mirror.example"}},
		DisallowedTags: []string{"latest"},
	}
	if diff := cmp.Diff(want, policyOf(t, load(t))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPolicyFileIsMountedSoThatItIsUpdated(t *testing.T) {
	objects := load(t)
	pod := objectOfType[*appsv1.Deployment](t, objects).Spec.Template
	container := webhookContainer(t, objects)
	want := []corev1.Volume{{Name: "policy", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: objectOfType[*corev1.ConfigMap](t, objects).Name},
	}}}}
	if diff := cmp.Diff(want, pod.Spec.Volumes[1:]); diff != "" {
		t.Errorf("volumes after tls (-want +got):\n%s", diff)
	}
	// The kubelet does not update a mount with a subPath.
	mounts := []corev1.VolumeMount{{Name: "policy", MountPath: "/policy", ReadOnly: true}}
	if diff := cmp.Diff(mounts, container.VolumeMounts[1:]); diff != "" {
		t.Errorf("mounts after tls (-want +got):\n%s", diff)
	}
	if !slices.Contains(container.Args, "--config=/policy/policy.yaml") {
		t.Errorf("args %q do not name the policy file", container.Args)
	}
	for _, flag := range []string{"--registry-mirrors", "--disallowed-tags", "--exempt-images", "--image-pull-policy"} {
		if slices.Contains(flagNames(container.Args), flag) {
			t.Errorf("args %q set %s, which the policy file sets", container.Args, flag)
		}
	}
}
