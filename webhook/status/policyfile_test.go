package status

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// setArgs replaces --config in the Deployment.
func setArgs(s *Snapshot, args ...string) {
	c := &s.Deployment.Value.Spec.Template.Spec.Containers[0]
	i := slices.Index(c.Args, "--config=/policy/policy.yaml")
	c.Args = slices.Replace(c.Args, i, i+1, args...)
}

// policyVolume returns the volume with the policy file.
func policyVolume(s *Snapshot) *corev1.Volume {
	volumes := s.Deployment.Value.Spec.Template.Spec.Volumes
	return &volumes[slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.ConfigMap != nil })]
}

func TestPolicyFile(t *testing.T) {
	const (
		object = "configmap/image-policy"
		edit   = "kubectl edit configmap image-policy -n image-webhook"
		kept   = "replicas keep their policy, but none can start"
		header = "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\n"
	)
	current := manifestVersion(t)
	checkScenarios(t, []scenario{
		{"deleted", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Policy, s.Loaded = Read[*corev1.ConfigMap]{Err: notFound("configmaps", "image-policy")}, nil
		}, []Check{{"policy", Problem, object, "does not exist: " + kept, apply04}}},
		{"without its key", func(_ *testing.T, s *Snapshot, _ issued) { delete(s.Policy.Value.Data, "policy.yaml") },
			[]Check{{"policy", Problem, object, "has no key policy.yaml: " + kept, apply04}}},
		{"invalid", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Policy.Value.Data["policy.yaml"] = header + "disallowedTags: [1.10]\n"
		}, []Check{{"policy", Problem, object, "is invalid (" + kept + `): policy.yaml:3:18: disallowedTags[0] is a number, not text: put it in quotes, "1.10"`, edit}}},
		{"contradicts itself", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Policy.Value.Data["policy.yaml"] = header + "imagePullSecrets: [mirror]\n"
		}, []Check{{"policy", Problem, object, "is invalid (" + kept + "): policy.yaml:3:19: imagePullSecrets has no effect without mirrors: add a mirror, or remove the field", edit}}},
		{"has the value of a flag too", func(_ *testing.T, s *Snapshot, _ issued) {
			setArgs(s, "--config=/policy/policy.yaml", "--log-changes", "--disallowed-tags", "dev")
			s.Policy.Value.Data["policy.yaml"] = header + "disallowedTags: [latest]\n"
		}, []Check{{"policy", Problem, object, "is invalid (" + kept + "): policy.yaml:3:17: disallowedTags is set by the flag --disallowed-tags too: remove one of them", edit}}},
		{"needs the mirrors of a flag", func(t *testing.T, s *Snapshot, _ issued) {
			setArgs(s, "--config=/policy/policy.yaml", "--registry-mirrors=mirror.example")
			s.Policy.Value.Data["policy.yaml"], s.Loaded = header+"imagePullSecrets: [mirror]\n", nil
		}, []Check{{"policy", OK, object, "policy.yaml is valid, version 2bab5d96049f", ""}}},
		{"another version is used", func(_ *testing.T, s *Snapshot, _ issued) { s.Loaded["webhook-b"] = Read[string]{Value: "0123456789ab"} },
			[]Check{{"policy", Warning, "pod/webhook-b", "uses version 0123456789ab, the ConfigMap has version " + current + ": the kubelet updates the file within about 90 seconds",
				`kubectl annotate pods -l app.kubernetes.io/component=webhook --overwrite image-webhook.dev/policy-changed="$(date +%s)" -n image-webhook`}}},
		{"not used", func(_ *testing.T, s *Snapshot, _ issued) { s.Loaded["webhook-a"] = Read[string]{} },
			[]Check{{"policy", Warning, "pod/webhook-a", "uses no policy file, although the Deployment has one", "kubectl rollout status deployment/webhook -n image-webhook"}}},
		{"the metrics cannot be read", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Loaded["webhook-a"] = Read[string]{Err: errors.New("read the metrics: connection refused")}
		}, []Check{{"policy", Unknown, "pod/webhook-a", "not checked: read the metrics: connection refused", ""}}},
		{"no metrics", func(_ *testing.T, s *Snapshot, _ issued) {
			c := &s.Deployment.Value.Spec.Template.Spec.Containers[0]
			c.Args, s.Loaded = append(c.Args, "--metrics-addr=0"), nil // the last value applies
		}, []Check{{"policy", OK, object, "policy.yaml is valid, version " + current + "; without metrics, the versions of the replicas are unknown", ""}}},
		{"in a ConfigMap with another name and key", func(_ *testing.T, s *Snapshot, _ issued) {
			setArgs(s, "--config", "/policy/../policy/rules/main.yaml")
			policyVolume(s).ConfigMap.Name = "rules"
			policyVolume(s).ConfigMap.Items = []corev1.KeyToPath{{Key: "main", Path: "rules/main.yaml"}}
			s.Policy.Value.Data["main"] = s.Policy.Value.Data["policy.yaml"]
		}, []Check{{"policy", OK, "configmap/rules", "main is valid, version " + current + ", used by 2 replicas", ""}}},
		{"mounted as a subPath", func(_ *testing.T, s *Snapshot, _ issued) {
			setArgs(s, "--config=/etc/policy/file")
			mounts := s.Deployment.Value.Spec.Template.Spec.Containers[0].VolumeMounts
			mounts[1].MountPath, mounts[1].SubPath = "/etc/policy/file", "policy.yaml"
		}, nil},
		{"not in a ConfigMap", func(_ *testing.T, s *Snapshot, _ issued) {
			setArgs(s, "--config=/tls/policy.yaml")
			s.Policy, s.Loaded = Read[*corev1.ConfigMap]{}, nil
		}, []Check{{"policy", Info, "deployment/webhook", "/tls/policy.yaml is not in a ConfigMap: the file is not checked", ""}}},
		{"flags instead of a file", func(_ *testing.T, s *Snapshot, _ issued) {
			setArgs(s, "--registry-mirrors=docker.mirror.example")
			s.Policy, s.Loaded = Read[*corev1.ConfigMap]{}, nil
		}, []Check{{"policy", OK, "deployment/webhook", "has no policy file: flags set the rules", ""}}},
	})
}
