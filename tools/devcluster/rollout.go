package devcluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/probe"
)

// rolledOut is `kubectl rollout status`, but ends as soon as it is clear that a server
// does not start: what was rolled out before goes on, and nobody need wait.
func (c *Cluster) rolledOut(ctx context.Context) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := c.crashed(ctx); err != nil {
			giveUp(err)
		}
	}, time.Second)
	return c.Kubectl("rollout", "status", "deployment/webhook", waitTimeout, "-n", "image-webhook").Run(ctx)
}

// crashed says which server crashes each time that it is started; nil: none, as far as
// is known.
func (c *Cluster) crashed(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return nil
	}
	deployment, err := client.AppsV1().Deployments("image-webhook").Get(ctx, "webhook", metav1.GetOptions{})
	if err != nil {
		return nil
	}
	pods, err := c.Servers(ctx)
	if err != nil {
		return nil
	}
	for _, pod := range pods {
		if of(deployment, pod) && crashes(pod) {
			return fmt.Errorf("pod %s does not start: %s", pod.Name, probe.NotReady(pod))
		}
	}
	return nil
}

// Servers are the webhook's pods, those that are to stop among them.
func (c *Cluster) Servers(ctx context.Context) ([]corev1.Pod, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods("image-webhook").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// of leaves out the pods of an earlier attempt.
func of(deployment *appsv1.Deployment, pod corev1.Pod) bool {
	wanted, is := deployment.Spec.Template.Spec.Containers[0], pod.Spec.Containers[0]
	return is.Image == wanted.Image && slices.Equal(is.Args, wanted.Args)
}

func crashes(pod corev1.Pod) bool {
	for _, status := range pod.Status.ContainerStatuses {
		if waiting := status.State.Waiting; waiting != nil && waiting.Reason == "CrashLoopBackOff" && pod.DeletionTimestamp == nil {
			return true
		}
	}
	return false
}
