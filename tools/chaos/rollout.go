package chaos

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// rolloutLimit is how long a rollout may take.
const rolloutLimit = 3 * time.Minute

// rollOut replaces all replicas, and waits until the old ones have ended.
func (r *run) rollOut(ctx context.Context, step *progress.Step) error {
	step.SetDetail("kubectl rollout restart deployment/webhook")
	if err := r.Kubectl("rollout", "restart", "deployment/"+webhookDeployment, "-n", webhookNamespace).Run(ctx); err != nil {
		return fmt.Errorf("restart the webhook: %w", err)
	}
	return r.waitRolledOut(ctx, step)
}

// waitRolledOut waits until all replicas are ready and run the current template, and no old one is
// left.
func (c *cluster) waitRolledOut(ctx context.Context, step *progress.Step) error {
	err := waitUntil(ctx, rolloutLimit, step, func(ctx context.Context) error {
		d, err := c.deployment(ctx)
		if err != nil {
			return err
		}
		pods, err := c.Servers(ctx)
		if err != nil {
			return err
		}
		// The status of the Deployment alone can be older than the pods.
		status, want, ready := d.Status, int(*d.Spec.Replicas), countReady(pods)
		if status.ObservedGeneration < d.Generation || int(status.UpdatedReplicas) < want ||
			int(status.ReadyReplicas) < want || ready < want || len(pods) > want {
			return fmt.Errorf("%d of %d replicas are updated, %d are ready, %d pods exist", status.UpdatedReplicas, want, ready, len(pods))
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("wait for the rollout of the webhook: %w", err)
	}
	return err
}

// countReady returns the number of pods that are ready and not terminating.
func countReady(pods []corev1.Pod) (count int) {
	for _, pod := range pods {
		ready := func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }
		if pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, ready) {
			count++
		}
	}
	return count
}
