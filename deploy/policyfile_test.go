package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// policyFile contains the fields of the policy file that the manifests use.
type policyFile struct {
	APIVersion     string         `json:"apiVersion"`
	Kind           string         `json:"kind"`
	Mirrors        []policyMirror `json:"mirrors"`
	DisallowedTags []string       `json:"disallowedTags"`
}

type policyMirror struct {
	Source string `json:"source"`
	Mirror string `json:"mirror"`
}

// rules returns the mirrors in the form of --registry-mirrors.
func (p policyFile) rules() string {
	var rules []string
	for _, m := range p.Mirrors {
		rules = append(rules, m.Source+"="+m.Mirror)
	}
	return strings.Join(rules, ",")
}

// policyOf returns the policy file in manifests.
func policyOf(t *testing.T, objects []object) (policy policyFile) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(policyTextOf(t, objects)), &policy); err != nil {
		t.Fatal(err)
	}
	return policy
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
	want := policyFile{
		"image-webhook.dev/v1alpha1", "ImagePolicy",
		[]policyMirror{{"docker.io", "docker.mirror.example"}, {"registry.k8s.io", "k8s.mirror.example"}},
		[]string{"latest"},
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
