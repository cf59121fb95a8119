package deploy_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

func TestPodsMeetThePodSecurityStandardRestricted(t *testing.T) {
	objects := load(t)
	for _, created := range objectsOfType[*corev1.Namespace](objects) {
		for _, mode := range []string{"enforce", "warn", "audit"} {
			if level := created.Labels["pod-security.kubernetes.io/"+mode]; level != "restricted" {
				t.Errorf("label %s of namespace %s is %q, want restricted", mode, created.Name, level)
			}
		}
	}
	for _, o := range objects {
		template, ok := o.podTemplate()
		if !ok {
			continue
		}
		checkPod(t, o.String(), template.Spec)
		for _, c := range containers(template) {
			checkContainer(t, o.String()+", container "+c.Name, c)
		}
	}
}

// A rule for ingress would have to know the addresses of the API servers.
func TestNetworkPolicyDeniesOnlyEgress(t *testing.T) {
	spec := objectOfType[*networkingv1.NetworkPolicy](t, load(t)).Spec
	if diff := cmp.Diff([]networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, spec.PolicyTypes); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	if len(spec.Egress) > 0 || len(spec.Ingress) > 0 {
		t.Errorf("the policy allows connections: %+v", spec)
	}
}

func checkPod(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	if spec.HostNetwork || spec.HostPID || spec.HostIPC {
		t.Errorf("%s: uses a namespace of the host", name)
	}
	for _, v := range spec.Volumes {
		if v.Secret == nil && v.ConfigMap == nil && v.EmptyDir == nil && v.Projected == nil && v.DownwardAPI == nil {
			t.Errorf("%s: volume %s: restricted pods may not have its type, or this test does not know it", name, v.Name)
		}
	}
	user := int64(65532)
	want := corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: &user, RunAsGroup: &user,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Secret != nil || v.Projected != nil }) {
		want.FSGroup = &user // so that the user can read the key or the token
	}
	if diff := cmp.Diff(&want, spec.SecurityContext); diff != "" {
		t.Errorf("%s: security context (-want +got):\n%s", name, diff)
	}
}

func checkContainer(t *testing.T, name string, c corev1.Container) {
	t.Helper()
	want := corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if diff := cmp.Diff(&want, c.SecurityContext); diff != "" {
		t.Errorf("%s: security context (-want +got):\n%s", name, diff)
	}
	for _, port := range c.Ports {
		if port.HostPort != 0 {
			t.Errorf("%s: uses port %d of the host", name, port.HostPort)
		}
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s: requests or the memory limit are not set", name)
	}
}
