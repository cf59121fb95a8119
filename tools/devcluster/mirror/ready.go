package mirror

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/devcluster/singlepod"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// deployment returns the Deployment of the named registry, which may not exist.
func (m *Mirror) deployment(name string) singlepod.Deployment {
	return singlepod.Deployment{Client: m.client, Namespace: Namespace, Name: name}
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
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, singlepod.ReadyLimit, true, func(ctx context.Context) (bool, error) {
		err := m.cluster.RunOnNodes(ctx, "curl", "--silent", "--show-error", "--insecure", "--max-time", "1", url+"/v2/")
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
