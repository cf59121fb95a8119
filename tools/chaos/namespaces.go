package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// newClients returns clients that can create pods, each in a new namespace.
func (r *run) newClients(ctx context.Context) (clients []*client, err error) {
	err = r.report.Step(fmt.Sprintf("create %d namespaces", clientCount), func(step *progress.Step) error {
		for range clientCount {
			c, err := r.newClient(ctx, step)
			if err != nil {
				return err
			}
			clients = append(clients, c)
		}
		return nil
	})
	return clients, err
}

func (r *run) newClient(ctx context.Context, step *progress.Step) (*client, error) {
	namespace, err := r.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "chaos-", Labels: map[string]string{ownLabel: "true"},
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create a namespace: %w", err)
	}
	c, err := connectClient(r.config, namespace.Name, r.Store)
	if err != nil {
		return nil, err
	}
	return c, c.waitUsable(ctx, step)
}

// usableLimit is how long the API server may reject pods in a new namespace: their ServiceAccount is
// created by a controller.
const usableLimit = 30 * time.Second

// waitUsable waits until pods can be created in the client's namespace.
func (c *client) waitUsable(ctx context.Context, step *progress.Step) error {
	err := waitUntil(ctx, usableLimit, step, func(ctx context.Context) error {
		pod, err := c.post(ctx, request{})
		if v := classify(request{}, pod, err); v.outcome != mirrored {
			return errors.New(v.message)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("create a pod before the first event: %w: run `make status`", err)
	}
	return err
}

// removeLeftovers removes the namespaces and Jobs of this run and of a killed one.
func (c *cluster) removeLeftovers(ctx context.Context) error {
	owned := metav1.ListOptions{LabelSelector: ownObject}
	namespaces, err := c.client.CoreV1().Namespaces().List(ctx, owned)
	if err != nil {
		return fmt.Errorf("list the namespaces of an earlier run: %w", err)
	}
	for _, namespace := range namespaces.Items {
		failed := c.client.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{})
		if !apierrors.IsNotFound(failed) && !apierrors.IsConflict(failed) { // it is already being removed
			err = errors.Join(err, failed)
		}
	}
	background := metav1.DeletePropagationBackground
	return errors.Join(err, c.client.BatchV1().Jobs(webhookNamespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, owned))
}
