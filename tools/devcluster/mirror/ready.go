package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// readyLimit is how long a registry may take to start; its image is on the node.
const readyLimit = time.Minute

// deployment is that of the registry called name; nil: there is none.
func (m *Mirror) deployment(ctx context.Context, name string) (*appsv1.Deployment, error) {
	d, err := m.client.AppsV1().Deployments(Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the registry %s: %w", name, err)
	}
	return d, nil
}

// ready says whether a Deployment's one pod serves, and is of its newest form.
func ready(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == 1 && d.Status.AvailableReplicas == 1
}

// waitReady returns when the registry called name serves, or the reason why it
// will not: as soon as its container has failed, else at the end of readyLimit.
func (m *Mirror) waitReady(ctx context.Context, name string, step *progress.Step) error {
	reason := ""
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, readyLimit, true, func(ctx context.Context) (bool, error) {
		d, err := m.deployment(ctx, name)
		if err != nil || d != nil && ready(d) {
			return err == nil, err
		}
		found, err := pods(ctx, m.client, name)
		if err != nil {
			return false, err
		}
		var failed bool
		reason, failed = whyNotReady(found)
		step.SetDetail(reason)
		if failed {
			return false, errors.New(reason)
		}
		return false, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("after %s: %s", readyLimit, reason)
	}
	return err
}

// waitReached returns when the nodes reach the registry called name: the rules
// that lead to a Service follow its pods by up to seconds, and a pull that fails
// meanwhile is not repeated for ten.
func (m *Mirror) waitReached(ctx context.Context, name string, step *progress.Step) error {
	url, err := m.url(ctx, name)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyLimit, true, func(ctx context.Context) (bool, error) {
		err := m.cluster.RunOnNodes(ctx, "curl", "--silent", "--show-error", "--max-time", "1", url+"/v2/")
		if err != nil && ctx.Err() == nil { // the end of the wait says nothing of the registry
			last = err
			step.SetDetail(err.Error())
		}
		return err == nil, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("the nodes do not reach the registry %s at %s: %w", name, url, last)
	}
	return err
}

// pods are those of the registry called name.
func pods(ctx context.Context, client kubernetes.Interface, name string) ([]corev1.Pod, error) {
	list, err := client.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + name})
	if err != nil {
		return nil, fmt.Errorf("list the pods of the registry %s: %w", name, err)
	}
	return list.Items, nil
}

// whyNotReady tells a person what the newest pod waits for, and whether it has
// failed and waiting longer is of no use.
func whyNotReady(pods []corev1.Pod) (reason string, failed bool) {
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods) == 0 {
		return "it has no pod", false
	}
	pod := slices.MaxFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Running != nil {
			continue
		}
		if ended := terminated(status); ended != nil {
			return fmt.Sprintf("pod %s ended: %s", pod.Name, lastLine(ended.Message, ended.Reason)), true
		}
		if w := status.State.Waiting; w != nil {
			return fmt.Sprintf("pod %s: %s", pod.Name, lastLine(w.Message, w.Reason)), false
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status != corev1.ConditionTrue {
			return fmt.Sprintf("pod %s: %s", pod.Name, lastLine(condition.Message, condition.Reason)), false
		}
	}
	return fmt.Sprintf("pod %s is %s", pod.Name, pod.Status.Phase), false
}

// terminated is how a container ended last, if it has.
func terminated(status corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if status.State.Terminated != nil {
		return status.State.Terminated
	}
	return status.LastTerminationState.Terminated
}

// lastLine is where a program says what stopped it; else the reason.
func lastLine(message, reason string) string {
	message = strings.TrimSpace(message)
	if message == "" {
		return reason
	}
	return message[strings.LastIndexByte(message, '\n')+1:]
}
