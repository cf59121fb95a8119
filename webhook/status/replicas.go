package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const deploymentObject = "deployment/" + workload

func replicas(s evaluation) []Check {
	d := s.Deployment.Value
	switch {
	case s.Deployment.missing():
		return []Check{checkReplicas.problem(deploymentObject, apply(workloadManifest), "does not exist: no webhook runs")}
	case s.Deployment.Err != nil:
		return []Check{checkReplicas.unread(deploymentObject, s.Deployment.Err)}
	case d.Spec.Replicas != nil && *d.Spec.Replicas == 0:
		return []Check{checkReplicas.problem(deploymentObject, s.kubectl("scale deployment/webhook --replicas=2"), "is scaled to 0 replicas: no webhook runs")}
	}
	ready, want := d.Status.ReadyReplicas, int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	found := fmt.Sprintf("%d of %d replicas are ready%s", min(ready, want), want, s.firstNotReady())
	switch fix := s.kubectl("describe pods -l app.kubernetes.io/component=webhook"); {
	case ready == 0:
		return []Check{checkReplicas.problem(deploymentObject, fix, "%s", found)}
	case ready < want:
		return []Check{checkReplicas.warning(deploymentObject, fix, "%s", found)}
	}
	return append([]Check{checkReplicas.ok(deploymentObject, "%s", found)}, s.sameNode()...)
}

// sameNode reports that several replicas run on one node. It does not know whether there is
// another node, which it needs no rights to list.
func (s evaluation) sameNode() []Check {
	nodes := map[string]bool{}
	for _, pod := range s.Replicas.Value {
		nodes[pod.Spec.NodeName] = true
	}
	if len(s.Replicas.Value) < 2 || len(nodes) > 1 {
		return nil
	}
	failed := "rejected"
	if s.installed.hybrid {
		failed = "not mirrored"
	}
	return []Check{checkReplicas.info("", "all replicas run on node %s: if it fails, new pods are %s; `kubectl drain` waits until a replica runs on another node",
		s.Replicas.Value[0].Spec.NodeName, failed)}
}

// kubectl returns a command in the namespace of the webhook.
func (s evaluation) kubectl(args string) string { return "kubectl " + args + " -n " + s.Namespace }

// firstNotReady returns the reason why a replica is not ready, or "".
func (s evaluation) firstNotReady() string {
	for _, pod := range s.Replicas.Value {
		if !isReady(pod) {
			return fmt.Sprintf(": pod/%s: %s", pod.Name, notReadyReason(pod))
		}
	}
	return ""
}

func isReady(pod corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func notReadyReason(pod corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			return c.State.Waiting.Reason
		case c.State.Terminated != nil:
			return fmt.Sprintf("exit code %d", c.State.Terminated.ExitCode)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return cmp.Or(c.Message, c.Reason)
		}
	}
	return strings.ToLower(string(pod.Status.Phase)) + ", but not ready"
}

// versions compares the images of the replicas.
func versions(s evaluation) []Check {
	if s.Replicas.Err != nil {
		return []Check{checkVersions.unread("pods", s.Replicas.Err)}
	}
	byImage := map[string][]string{}
	for _, pod := range s.Replicas.Value {
		if image := runningImage(pod); image != "" {
			byImage[image] = append(byImage[image], "pod/"+pod.Name)
		}
	}
	switch images := sortedKeys(byImage); len(images) {
	case 0:
		return nil // replicas reports it
	case 1:
		return []Check{checkVersions.ok("", "all replicas run %s", images[0])}
	default:
		var found []string
		for _, image := range images {
			found = append(found, fmt.Sprintf("%s: %s", image, strings.Join(sorted(byImage[image]), ", ")))
		}
		return []Check{checkVersions.warning("", s.kubectl("rollout status deployment/webhook"), "the replicas run different images: %s", strings.Join(found, "; "))}
	}
}

// runningImage returns the image of a replica, with its ID, or "" if it does not run yet.
func runningImage(pod corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		i := slices.IndexFunc(pod.Spec.Containers, func(spec corev1.Container) bool { return spec.Name == c.Name })
		if c.Name == workload && c.ImageID != "" && i >= 0 {
			return fmt.Sprintf("%s (%s)", pod.Spec.Containers[i].Image, shortID(c.ImageID))
		}
	}
	return ""
}

// shortID returns the digest of an image ID, shortened as in the output of container engines.
func shortID(id string) string {
	const digits = 12
	if i := strings.LastIndex(id, "sha256:"); i >= 0 {
		id = id[i:]
		return id[:min(len(id), len("sha256:")+digits)]
	}
	return id
}

// criticalClass protects the replicas from pods with a higher priority.
const criticalClass = "system-cluster-critical"

func priority(s evaluation) []Check {
	if s.Deployment.Err != nil {
		return nil // replicas reports it
	}
	switch class := s.Deployment.Value.Spec.Template.Spec.PriorityClassName; class {
	case criticalClass, "system-node-critical":
		return []Check{checkPriority.ok(deploymentObject, "has priority class %s", class)}
	default:
		return []Check{checkPriority.warning(deploymentObject, apply(workloadManifest),
			"has priority class %q instead of %s: other pods can preempt all replicas", class, criticalClass)}
	}
}
