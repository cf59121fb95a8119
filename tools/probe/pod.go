// Package podstate says why a pod is not ready, for a person.
package probe

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// NotReady is the reason why a pod is not ready; empty: it is, or has done its work, or
// is on its way out.
func NotReady(pod corev1.Pod) string {
	if pod.Status.Phase == corev1.PodSucceeded || pod.DeletionTimestamp != nil {
		return ""
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if reason := stopped(status); reason != "" {
			return reason
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status != corev1.ConditionTrue {
			return join(string(pod.Status.Phase), condition.Reason, condition.Message)
		}
	}
	return ""
}

// stopped is the reason why a container does not run; empty: it runs, has done its work,
// or only waits for its turn.
func stopped(status corev1.ContainerStatus) string {
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "PodInitializing" {
		return join("container "+status.Name+" is waiting", waiting.Reason, waiting.Message)
	}
	if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
		return join(fmt.Sprintf("container %s ended with exit code %d", status.Name, ended.ExitCode), ended.Reason, ended.Message)
	}
	return ""
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}
