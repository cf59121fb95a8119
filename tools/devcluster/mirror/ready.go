package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// readyLimit is how long a registry may take to start. Its image is already on the node.
const readyLimit = time.Minute

// getDeployment returns the Deployment of the named registry, or nil if there is none.
func (m *Mirror) getDeployment(ctx context.Context, name string) (*appsv1.Deployment, error) {
	d, err := m.client.AppsV1().Deployments(Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the Deployment of the registry %s: %w", name, err)
	}
	return d, nil
}

// isReady reports whether the Deployment's only pod is available and runs the current
// template.
func isReady(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == 1 && d.Status.AvailableReplicas == 1
}

// waitReady returns when the named registry is ready. It returns an error with the reason
// when its container has failed, or after readyLimit.
func (m *Mirror) waitReady(ctx context.Context, name string, step *progress.Step) error {
	reason := ""
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, readyLimit, true, func(ctx context.Context) (bool, error) {
		d, err := m.getDeployment(ctx, name)
		if err != nil || d != nil && isReady(d) {
			return err == nil, err
		}
		pods, err := listPods(ctx, m.client, name)
		if err != nil {
			return false, err
		}
		var failed bool
		reason, failed = newestNotReady(pods)
		step.SetDetail(reason)
		if failed {
			return false, errors.New(reason)
		}
		return false, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("it is not ready after %s: %s", readyLimit, reason)
	}
	return err
}

// waitReachable returns when the nodes can reach the named registry. kube-proxy may update the
// rules of a Service seconds after the pod is ready, and the kubelet repeats a failed pull only
// after ten seconds.
func (m *Mirror) waitReachable(ctx context.Context, name string, step *progress.Step) error {
	url, err := m.registryURL(ctx, name)
	if err != nil {
		return err
	}
	var lastErr error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyLimit, true, func(ctx context.Context) (bool, error) {
		err := m.cluster.RunOnNodes(ctx, "curl", "--silent", "--show-error", "--max-time", "1", url+"/v2/")
		if err != nil && ctx.Err() == nil { // an error from the end of the wait is not the registry's
			lastErr = err
			step.SetDetail(err.Error())
		}
		return err == nil, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("the nodes cannot reach the registry %s at %s: %w", name, url, lastErr)
	}
	return err
}

// listPods returns the pods of the named registry.
func listPods(ctx context.Context, client kubernetes.Interface, name string) ([]corev1.Pod, error) {
	list, err := client.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + name})
	if err != nil {
		return nil, fmt.Errorf("list the pods of the registry %s: %w", name, err)
	}
	return list.Items, nil
}

// newestNotReady returns the reason why the newest pod is not ready, and whether it has failed.
func newestNotReady(pods []corev1.Pod) (reason string, failed bool) {
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods) == 0 {
		return "it has no pod", false
	}
	pod := slices.MaxFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	if reason = probe.NotReady(pod); reason == "" {
		reason = string(pod.Status.Phase)
	}
	return fmt.Sprintf("pod %s: %s", pod.Name, reason), probe.HasFailed(pod)
}
