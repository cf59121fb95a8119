package devcluster

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// Reload builds the webhook's image, rolls it out, and returns when only the new servers
// answer. It changes nothing else in the installation.
func (c *Cluster) Reload(ctx context.Context) error {
	if err := c.checkInstalled(ctx); err != nil {
		return err
	}
	contentRef, err := c.Load(ctx)
	if err != nil {
		return err
	}
	err = c.report.Step("roll out the webhook", func(*progress.Step) error { return c.rollOut(ctx, contentRef) })
	if err != nil {
		c.describe(ctx)
		return fmt.Errorf("roll out %s: %w", contentRef, err)
	}
	return c.waitServing(ctx)
}

// checkInstalled returns an error if the webhook is not installed or has no replicas.
func (c *Cluster) checkInstalled(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	deployment, err := client.AppsV1().Deployments("image-webhook").Get(ctx, "webhook", metav1.GetOptions{})
	if err == nil && *deployment.Spec.Replicas == 0 {
		err = errors.New("the Deployment webhook has 0 replicas")
	}
	if err != nil {
		return fmt.Errorf("reload the webhook in cluster %s: %w: run `make install` first", c.Name, err)
	}
	return nil
}

func (c *Cluster) rollOut(ctx context.Context, contentRef string) error {
	err := c.Kubectl("set", "image", "deployment/webhook", "webhook="+contentRef, "-n", "image-webhook").Run(ctx)
	if err != nil {
		return err
	}
	if err := c.waitForRollout(ctx, rolloutStep()); err != nil {
		return err
	}
	return c.KillTerminating(ctx)
}

// KillTerminating kills the webhook's servers whose pods are terminating. Otherwise the API
// server could still send them requests over open connections.
func (c *Cluster) KillTerminating(ctx context.Context) error {
	pods, err := c.Servers(ctx)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil {
			continue
		}
		for _, id := range containerIDs(pod) {
			// The command fails if the server has already stopped.
			_ = c.RunOnNode(ctx, pod.Spec.NodeName, "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", id)
		}
	}
	return nil
}
