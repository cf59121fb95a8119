package devcluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// Reload builds the image anew and returns when nobody but it answers: what is waited
// for after each change. The installation stays as it is in all else.
func (c *Cluster) Reload(ctx context.Context) error {
	if err := c.running(ctx); err != nil {
		return err
	}
	contentRef, err := c.Load(ctx)
	if err != nil {
		return err
	}
	err = c.report.Step("roll out", func(*progress.Step) error { return c.rollOut(ctx, contentRef) })
	if err != nil {
		c.describe(ctx)
		return fmt.Errorf("roll %s out: %w", contentRef, err)
	}
	return c.waitServing(ctx)
}

// running refuses to replace what is not there.
func (c *Cluster) running(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	deployment, err := client.AppsV1().Deployments("image-webhook").Get(ctx, "webhook", metav1.GetOptions{})
	if err == nil && *deployment.Spec.Replicas == 0 {
		err = errors.New("its Deployment has no replicas")
	}
	if err != nil {
		return fmt.Errorf("the webhook does not run in cluster %s: %w: run `make install` first", c.Name, err)
	}
	return nil
}

func (c *Cluster) rollOut(ctx context.Context, contentRef string) error {
	err := c.Kubectl("set", "image", "deployment/webhook", "webhook="+contentRef, "-n", "image-webhook").Run(ctx)
	if err != nil {
		return err
	}
	if err := c.rolledOut(ctx); err != nil {
		return err
	}
	return c.EndStopping(ctx)
}

// EndStopping ends the webhook's servers that are to stop: the API server would go on
// asking them over its open connections, for as long as they wait for it to close those.
func (c *Cluster) EndStopping(ctx context.Context) error {
	found, err := c.Servers(ctx)
	if err != nil {
		return err
	}
	for _, pod := range found {
		if pod.DeletionTimestamp == nil {
			continue
		}
		for _, container := range pod.Status.ContainerStatuses {
			_, id, _ := strings.Cut(container.ContainerID, "://")
			// An error means that it has stopped by itself.
			_ = c.RunOnNodes(ctx, "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", id)
		}
	}
	return nil
}
