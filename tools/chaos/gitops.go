package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/gitops"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// applyInterval is the time between two applies of the webhook configurations.
const applyInterval = 3 * time.Second

func (r *run) renewWithArgoCD(ctx context.Context, step *progress.Step) error {
	return r.renewWithTool(ctx, step, gitops.ArgoCD)
}

func (r *run) renewWithFlux(ctx context.Context, step *progress.Step) error {
	return r.renewWithTool(ctx, step, gitops.Flux)
}

// renewWithTool replaces the certificate while a GitOps tool applies the webhook configurations
// again and again. The validating webhook must stay on Fail.
func (r *run) renewWithTool(ctx context.Context, step *progress.Step, tool gitops.Tool) error {
	applyOnce, err := r.prepareTool(ctx, tool)
	if err != nil {
		return err
	}
	applying, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error {
		applies := 0
		defer func() { r.notes = append(r.notes, fmt.Sprintf("%s applied 05 %d times", tool.Name, applies)) }()
		for ; applying.Err() == nil; applies++ {
			if err := applyOnce(ctx); err != nil {
				return err
			}
			_ = sleep(applying, applyInterval)
		}
		return nil
	})
	err = r.renew(ctx, step)
	stop()
	return errors.Join(err, group.Wait())
}

// prepareTool returns a function that applies the webhook configurations once, and then checks the
// failure policy.
func (r *run) prepareTool(ctx context.Context, tool gitops.Tool) (apply func(context.Context) error, err error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return nil, err
	}
	manifests, err := gitops.Render(ctx, r.KubectlPath(), root, r.components()...)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(r.config)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := tool.Sync(ctx, client, manifests); err != nil {
			return err
		}
		return r.checkFails(ctx)
	}, nil
}

// components returns the components of the form.
func (c *cluster) components() []string {
	if c.hybrid {
		return []string{"deploy/" + deploy.Hybrid}
	}
	return nil
}

// checkFails returns an error unless the validating webhook has the failure policy Fail. The hybrid form
// does not have this webhook.
func (c *cluster) checkFails(ctx context.Context) error {
	if c.hybrid {
		return nil
	}
	found, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, "image-webhook", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, hook := range found.Webhooks {
		if *hook.FailurePolicy != admissionregistrationv1.Fail {
			return fmt.Errorf("webhook %s has failurePolicy %s after 05 was applied, want Fail", hook.Name, *hook.FailurePolicy)
		}
	}
	return nil
}
