package singlepod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNewestNotReadyReturnsTheReason(t *testing.T) {
	now := time.Now()
	pod := func(age time.Duration, status corev1.PodStatus) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "mirror-x", CreationTimestamp: metav1.NewTime(now.Add(-age))}, Status: status}
	}
	container := func(status corev1.ContainerStatus) corev1.PodStatus {
		status.Name = "registry"
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}}
	}
	terminating := func(pod corev1.Pod) corev1.Pod {
		pod.DeletionTimestamp = &metav1.Time{Time: now}
		return pod
	}
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "listening\nregistry: no such host\n"}}
	tests := []struct {
		name   string
		pods   []corev1.Pod
		want   string
		failed bool
	}{
		{"no pod yet", nil, "it has no pod", false},
		{"the container is being created", []corev1.Pod{pod(0, container(corev1.ContainerStatus{State: waiting("ContainerCreating", "")}))}, "pod mirror-x: container registry is waiting: ContainerCreating", false},
		{"the image is missing", []corev1.Pod{pod(0, container(corev1.ContainerStatus{State: waiting("ErrImageNeverPull", "not present")}))}, "pod mirror-x: container registry is waiting: ErrImageNeverPull: not present", false},
		{"the container has ended", []corev1.Pod{pod(0, container(corev1.ContainerStatus{State: ended}))}, "pod mirror-x: container registry ended with exit code 1: Error: registry: no such host", true},
		{
			"the container was restarted", []corev1.Pod{pod(0, corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
				{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, LastTerminationState: ended},
			}})}, "pod mirror-x: Running", false,
		},
		{
			"the container waits for its restart", []corev1.Pod{pod(0, container(corev1.ContainerStatus{State: waiting("CrashLoopBackOff", "back-off"), LastTerminationState: ended}))},
			"pod mirror-x: container registry ended with exit code 1: Error: registry: no such host", true,
		},
		{"the older pod has ended", []corev1.Pod{
			pod(time.Hour, container(corev1.ContainerStatus{State: ended})),
			pod(0, container(corev1.ContainerStatus{State: waiting("ContainerCreating", "")})),
		}, "pod mirror-x: container registry is waiting: ContainerCreating", false},
		{"the pod that has ended is terminating", []corev1.Pod{terminating(pod(0, container(corev1.ContainerStatus{State: ended})))}, "it has no pod", false},
		{"no node has room", []corev1.Pod{pod(0, corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Insufficient memory."},
		}})}, "pod mirror-x: Unschedulable: 0/1 nodes are available: 1 Insufficient memory.", false},
		{"the container runs but was not probed yet", []corev1.Pod{pod(0, corev1.PodStatus{Phase: corev1.PodRunning})}, "pod mirror-x: Running", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, failed := newestNotReady(test.pods)
			if got != test.want || failed != test.failed {
				t.Errorf("got %q, %v; want %q, %v", got, failed, test.want, test.failed)
			}
		})
	}
}
