package probe

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// NotReady returns the reason why a pod is not ready, or an empty string if it is ready, has
// completed or is terminating.
func NotReady(pod corev1.Pod) string {
	if pod.Status.Phase == corev1.PodSucceeded || pod.DeletionTimestamp != nil {
		return ""
	}
	for _, status := range containers(pod) {
		if reason := notRunning(status); reason != "" {
			return reason
		}
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady} {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == kind && condition.Status != corev1.ConditionTrue {
				return join(string(pod.Status.Phase), condition.Reason, condition.Message)
			}
		}
	}
	return ""
}

// HasFailed reports whether a container of the pod has ended with an error and has not been
// restarted yet.
func HasFailed(pod corev1.Pod) bool {
	return slices.ContainsFunc(containers(pod), func(status corev1.ContainerStatus) bool { return failure(status) != nil })
}

// CrashLoops reports whether a container of the pod has failed repeatedly.
func CrashLoops(pod corev1.Pod) bool {
	return slices.ContainsFunc(containers(pod), func(status corev1.ContainerStatus) bool {
		return status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff"
	})
}

func containers(pod corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// notRunning returns the reason why a container does not run, or an empty string if it runs,
// has completed, or only waits for the init containers.
func notRunning(status corev1.ContainerStatus) string {
	if failed := failure(status); failed != nil {
		return join(fmt.Sprintf("container %s ended with exit code %d", status.Name, failed.ExitCode), failed.Reason, lastLine(failed.Message))
	}
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "PodInitializing" {
		return join("container "+status.Name+" is waiting", waiting.Reason, waiting.Message)
	}
	return ""
}

// failure returns the failed termination of a container that does not run, or nil.
func failure(status corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	ended := status.State.Terminated
	if status.State.Waiting != nil {
		ended = status.LastTerminationState.Terminated
	}
	if ended == nil || ended.ExitCode == 0 {
		return nil
	}
	return ended
}

// lastLine returns the last line, in which most programs name the cause.
func lastLine(message string) string {
	message = strings.TrimSpace(message)
	return message[strings.LastIndexByte(message, '\n')+1:]
}

func join(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), ": ")
}
