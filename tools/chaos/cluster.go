package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	webhookNamespace  = "image-webhook"
	webhookDeployment = "webhook"
	webhookSecret     = "webhook-tls"
)

// ownLabel marks the namespaces and Jobs of this package.
const (
	ownLabel  = "image-webhook.dev/chaos"
	ownObject = ownLabel + "=true"
)

// cluster is the cluster in which the events happen.
type cluster struct {
	*devcluster.Cluster
	config *rest.Config
	client kubernetes.Interface
	hybrid bool // whether a policy denies, and the webhook only mirrors and warns
}

// connect returns a running cluster in which the webhook is installed.
func connect(ctx context.Context, c *devcluster.Cluster) (*cluster, error) {
	state, err := c.State(ctx)
	if err != nil {
		return nil, err
	}
	if state != devcluster.Ready {
		return nil, fmt.Errorf("cluster %q is not running: run `make up install`", c.Name)
	}
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no client-side rate limit: it would hide how long an answer takes
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	connected := &cluster{Cluster: c, config: config, client: client}
	if _, err := connected.deployment(ctx); apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("the webhook is not installed in cluster %q: run `make install`", c.Name)
	} else if err != nil {
		return nil, fmt.Errorf("read the Deployment of the webhook: %w", err)
	}
	form, err := probe.FindForm(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("create a pod that is denied: %w", err)
	}
	connected.hybrid = form.Hybrid
	return connected, nil
}

func (c *cluster) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	return c.client.AppsV1().Deployments(webhookNamespace).Get(ctx, webhookDeployment, metav1.GetOptions{})
}

// waitReady waits until the webhook is in its final state: only replicas of the last rollout run,
// they serve the certificate of the Secret, and the API server gets their verdicts.
func (c *cluster) waitReady(ctx context.Context, step *progress.Step) error {
	for _, wait := range []func(context.Context, *progress.Step) error{
		c.waitRolledOut, c.waitServed,
		func(ctx context.Context, step *progress.Step) error { return probe.WaitServing(ctx, c.config, step) },
	} {
		if err := wait(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// pollInterval is the time between two checks of a condition.
const pollInterval = 500 * time.Millisecond

// waitUntil waits until check returns nil, and returns the last error of check after the limit. It
// shows the last error as the detail of the step.
func waitUntil(ctx context.Context, limit time.Duration, step *progress.Step, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, limit, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if err != nil && ctx.Err() == nil { // a check that was cut off has no useful error
			last = err
			step.SetDetail(err.Error())
		}
		if permanent := (permanentError{}); errors.As(err, &permanent) {
			return false, err
		}
		return err == nil, nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded) && last != nil:
		return fmt.Errorf("after %s: %w", limit, last)
	}
	return err
}

// permanentError is an error of a check that waiting does not change.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }
