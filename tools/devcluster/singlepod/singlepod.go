// Package singlepod waits for a Deployment with one pod in a development cluster, and says why the
// pod is not ready. It finds the pod by the label app.kubernetes.io/instance, which must be the name
// of the Deployment.
package singlepod

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

// ReadyLimit is how long the pod may take to start. Its image is already on the node.
const ReadyLimit = time.Minute

// Deployment names a Deployment with one replica.
type Deployment struct {
	Client          kubernetes.Interface
	Namespace, Name string
}

// Get returns the Deployment, or nil if there is none.
func (d Deployment) Get(ctx context.Context) (*appsv1.Deployment, error) {
	found, err := d.Client.AppsV1().Deployments(d.Namespace).Get(ctx, d.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the Deployment %s: %w", d.Name, err)
	}
	return found, nil
}

// isReady reports whether the only pod is available and runs the current template.
func isReady(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == 1 && d.Status.AvailableReplicas == 1
}

// WaitReady returns when the Deployment is ready. It returns an error with the reason when its
// container has failed, or after ReadyLimit.
func (d Deployment) WaitReady(ctx context.Context, step *progress.Step) error {
	reason := ""
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, ReadyLimit, true, func(ctx context.Context) (bool, error) {
		found, err := d.Get(ctx)
		if err != nil || found != nil && isReady(found) {
			return err == nil, err
		}
		pods, err := d.pods(ctx)
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
		return fmt.Errorf("it is not ready after %s: %s", ReadyLimit, reason)
	}
	return err
}

// ReadyPod returns the name of a ready pod.
func (d Deployment) ReadyPod(ctx context.Context) (string, error) {
	pods, err := d.pods(ctx)
	if err != nil {
		return "", err
	}
	for _, pod := range pods {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				return pod.Name, nil
			}
		}
	}
	reason, _ := newestNotReady(pods)
	return "", errors.New("it is not ready: " + reason)
}

func (d Deployment) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := d.Client.CoreV1().Pods(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + d.Name})
	if err != nil {
		return nil, fmt.Errorf("list the pods of the Deployment %s: %w", d.Name, err)
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
