package status

import (
	"path"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/webhook/policy"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
)

// policyFile checks the file of --config in its ConfigMap, and compares it with those that the replicas
// use.
func policyFile(s evaluation) []Check {
	if s.Deployment.Err != nil {
		return nil // replicas reports it
	}
	const kept = "replicas keep their policy, but none can start"
	pod := s.Deployment.Value.Spec.Template.Spec
	flags := serveFlagsOf(pod)
	source, found := policySource(pod, flags.config)
	object := "configmap/" + source.configMap
	switch {
	case flags.config == "":
		return []Check{checkPolicy.ok(deploymentObject, "has no policy file: flags set the rules")}
	case !found:
		return []Check{checkPolicy.info(deploymentObject, "%s is not in a ConfigMap: the file is not checked", flags.config)}
	case s.Policy.missing():
		return []Check{checkPolicy.problem(object, apply(workloadManifest), "does not exist: %s", kept)}
	case s.Policy.Err != nil:
		return []Check{checkPolicy.unread(object, s.Policy.Err)}
	}
	content, found := s.Policy.Value.Data[source.key]
	if !found {
		return []Check{checkPolicy.problem(object, apply(workloadManifest), "has no key %s: %s", source.key, kept)}
	}
	rules, err := policy.Read(source.key, []byte(content), flags.rules)
	if err != nil {
		return []Check{checkPolicy.problem(object, s.kubectl("edit configmap "+source.configMap), "is invalid (%s): %s", kept, describe(err))}
	}
	checks, users := s.otherPolicies(rules.Version)
	checks = append(checks, s.olderPolicy(rules.Version)...)
	switch valid := source.key + " is valid, version " + rules.Version; {
	case len(checks) > 0:
		return checks
	case flags.metricsAddr == noMetrics:
		return []Check{checkPolicy.ok(object, "%s; without metrics, the versions of the replicas are unknown", valid)}
	case users > 0:
		return []Check{checkPolicy.ok(object, "%s, used by %s", valid, count(users, "replica"))}
	default:
		return []Check{checkPolicy.ok(object, "%s", valid)}
	}
}

// otherPolicies returns a check for each replica that is not known to use a version of the policy, and
// how many replicas use it.
func (s evaluation) otherPolicies(version string) (checks []Check, users int) {
	for _, pod := range sortedKeys(s.Loaded) {
		object, loaded := "pod/"+pod, s.Loaded[pod]
		switch {
		case loaded.Err != nil && s.Served[pod].Err != nil: // served reports it
		case loaded.Err != nil:
			checks = append(checks, checkPolicy.unread(object, loaded.Err))
		case loaded.Value == version:
			users++
		case loaded.Value == "":
			checks = append(checks, checkPolicy.warning(object, s.kubectl("rollout status deployment/webhook"), "uses no policy file, although the Deployment has one"))
		default:
			fix := s.kubectl(`annotate pods -l app.kubernetes.io/component=webhook --overwrite image-webhook.dev/policy-changed="$(date +%s)"`)
			checks = append(checks, checkPolicy.warning(object, fix, "uses version %s, the ConfigMap has version %s: the kubelet updates the file within about 90 seconds", loaded.Value, version))
		}
	}
	return checks, users
}

// noMetrics is the value of --metrics-addr with which a replica serves no metrics.
const noMetrics = "0"

// serveFlags are the flags of a replica that the checks need.
type serveFlags struct {
	config      string
	metricsAddr string
	rules       policy.Flags
	invalid     error // of the rules: no replica starts
}

// serveFlagsOf returns the flags of a replica. Other invalid values than those of rules are ignored.
func serveFlagsOf(pod corev1.PodSpec) (f serveFlags) {
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	set.ParseErrorsAllowlist.UnknownFlags = true
	set.Usage = func() {}
	set.StringVar(&f.metricsAddr, "metrics-addr", ":9090", "")
	rules := ruleflags.Add(set, "")
	c := server(pod)
	_ = set.Parse(slices.Concat(c.Command, c.Args))
	f.config = rules.Config
	f.rules, f.invalid = rules.Parse()
	return f
}

// server returns the container of the webhook.
func server(pod corev1.PodSpec) corev1.Container {
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == workload })
	return pod.Containers[max(i, 0)]
}

// configMapKey is a file in a ConfigMap.
type configMapKey struct{ configMap, key string }

// policySource returns where a replica mounts a file from, and false if that is not a ConfigMap.
func policySource(pod corev1.PodSpec, file string) (source configMapKey, found bool) {
	file = path.Clean(file)
	var mount corev1.VolumeMount // the innermost
	for _, m := range server(pod).VolumeMounts {
		m.MountPath = path.Clean(m.MountPath)
		if (file == m.MountPath || strings.HasPrefix(file, m.MountPath+"/")) && len(m.MountPath) > len(mount.MountPath) {
			mount = m
		}
	}
	for _, v := range pod.Volumes {
		if v.Name != mount.Name || v.ConfigMap == nil {
			continue
		}
		key := strings.TrimPrefix(path.Join("/", mount.SubPath, strings.TrimPrefix(file, mount.MountPath)), "/")
		for _, item := range v.ConfigMap.Items {
			if item.Path == key {
				return configMapKey{v.ConfigMap.Name, item.Key}, true
			}
		}
		return configMapKey{v.ConfigMap.Name, key}, true
	}
	return source, false
}
