package probe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNotReadyReturnsReason(t *testing.T) {
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ready := func(status corev1.ConditionStatus, message string) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodReady, Status: status, Message: message}}
	}
	for name, tt := range map[string]struct {
		phase      corev1.PodPhase
		init, main corev1.ContainerState
		last       corev1.ContainerState // of main
		conditions []corev1.PodCondition
		deleted    bool
		want       string
	}{
		"ready":                        {phase: "Running", main: running, conditions: ready("True", "")},
		"completed":                    {phase: "Succeeded", main: ended(0), conditions: ready("False", "done")},
		"terminating":                  {phase: "Running", main: ended(1), deleted: true},
		"image missing":                {phase: "Pending", main: waiting("ErrImagePull", "not found"), want: "container main is waiting: ErrImagePull: not found"},
		"crashed":                      {phase: "Running", main: ended(2), want: "container main ended with exit code 2: Error"},
		"an init container crashed":    {phase: "Pending", init: ended(1), main: waiting("PodInitializing", ""), want: "container init ended with exit code 1: Error"},
		"waits for the init container": {phase: "Pending", init: running, main: waiting("PodInitializing", ""), conditions: ready("False", "init"), want: "Pending: init"},
		"crash loop":                   {phase: "Running", main: waiting("CrashLoopBackOff", "back-off"), last: ended(3), want: "container main ended with exit code 3: Error"},
		"unschedulable":                {phase: "Pending", conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable", Message: "no node"}}, want: "Pending: Unschedulable: no node"},
		"a probe fails":                {phase: "Running", main: running, conditions: ready("False", "not ready"), want: "Running: not ready"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := corev1.Pod{Status: corev1.PodStatus{
				Phase:                 tt.phase,
				Conditions:            tt.conditions,
				InitContainerStatuses: []corev1.ContainerStatus{{Name: "init", State: tt.init}},
				ContainerStatuses:     []corev1.ContainerStatus{{Name: "main", State: tt.main, LastTerminationState: tt.last}},
			}}
			if tt.deleted {
				pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			}
			if diff := cmp.Diff(tt.want, NotReady(pod)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
