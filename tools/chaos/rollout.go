package chaos

import (
	"context"
	"fmt"
	"time"

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
		status := d.Status
		if status.ObservedGeneration < d.Generation || status.UpdatedReplicas < *d.Spec.Replicas ||
			status.ReadyReplicas < *d.Spec.Replicas || len(pods) > int(*d.Spec.Replicas) {
			return fmt.Errorf("%d of %d replicas are updated, %d are ready, %d pods exist",
				status.UpdatedReplicas, *d.Spec.Replicas, status.ReadyReplicas, len(pods))
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("wait for the rollout of the webhook: %w", err)
	}
	return err
}
