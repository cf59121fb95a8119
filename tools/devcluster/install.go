package devcluster

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
)

// Install applies the manifests of the cluster's form with kubectl, in the order of deploy/order.yaml,
// and returns when the webhook answers. It deletes what another form has left. It sets the image of the Deployment to contentRef,
// unless that is empty, so that a new image is rolled out. It adds the flags to those of the
// manifest. If the manifests for the owners of namespaces are installed, it also calls
// InstallNamespaceOwner: they need the same image and the same CA.
func (c *Cluster) Install(ctx context.Context, contentRef string, flags ...string) error {
	hybrid, err := c.Hybrid()
	if err != nil {
		return err
	}
	if err := c.runSteps(ctx, ".", deploy.FormSteps(hybrid), contentRef, flags); err != nil {
		return err
	}
	if err := errors.Join(c.finishForm(ctx, hybrid), c.recordForm(hybrid)); err != nil {
		return err
	}
	if err := c.waitServing(ctx); err != nil {
		return err
	}
	if err := c.markInstalled(ctx, hybrid); err != nil {
		return err
	}
	found, err := c.Kubectl("get", "deployment", "namespace-owner", "-n", "image-webhook", "--ignore-not-found", "-o", "name").Output(ctx)
	if err != nil || found == "" {
		return err
	}
	return c.InstallNamespaceOwner(ctx, contentRef)
}

// InstallNamespaceOwner applies the manifests for the owners of namespaces, like Install. The
// webhook must be installed. It returns when the API server calls the webhook for new
// namespaces and evaluates the policies.
func (c *Cluster) InstallNamespaceOwner(ctx context.Context, contentRef string) error {
	if err := c.runSteps(ctx, deploy.NamespaceOwner, deploy.NamespaceOwnerSteps(), contentRef, nil); err != nil {
		return err
	}
	config, err := c.Config()
	if err != nil {
		return err
	}
	return c.report.Step("wait until new namespaces are checked", func(step *progress.Step) error {
		return probe.WaitNamespacesChecked(ctx, config, step)
	})
}

// runSteps runs the steps of a directory of deploy.
func (c *Cluster) runSteps(ctx context.Context, dir string, steps []deploy.Step, contentRef string, flags []string) error {
	for _, step := range steps {
		if waitsForRollout(step) {
			step.Content = CustomizeDeployment(step.Content, contentRef, flags...)
		}
		if err := c.runStep(ctx, dir, step); err != nil {
			return err
		}
	}
	return nil
}

// waitServing waits until the API server calls both the validating and the mutating webhook.
func (c *Cluster) waitServing(ctx context.Context) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	return c.report.Step("wait until the webhook denies and mirrors", func(step *progress.Step) error {
		return probe.WaitServing(ctx, config, step)
	})
}

// waitsForRollout reports whether a step applies a Deployment: only such a step waits for a
// rollout.
func waitsForRollout(step deploy.Step) bool { return len(step.Wait) > 0 && step.Wait[0] == "rollout" }

// CustomizeDeployment returns the manifest of a Deployment with the image ref, unless that
// is empty, and with additional flags. The manifests of the Jobs must not be customized:
// `kubectl apply` of a manifest that changes the template of an existing Job fails.
func CustomizeDeployment(manifest, ref string, flags ...string) string {
	if ref != "" {
		manifest = strings.ReplaceAll(manifest, webhookimage.StaticRef, ref)
	}
	const serve = "            - serve\n"
	for _, flag := range flags {
		manifest = strings.Replace(manifest, serve, serve+"            - "+flag+"\n", 1)
	}
	return manifest
}

func (c *Cluster) runStep(ctx context.Context, dir string, step deploy.Step) error {
	file := path.Join(dir, step.Name)
	err := c.report.Step("apply "+file, func(progressStep *progress.Step) error { return c.applyAndWait(ctx, step, progressStep) })
	if err == nil {
		return nil
	}
	if !errors.As(err, &serviceError{}) {
		c.describe(ctx)
	}
	return fmt.Errorf("apply deploy/%s: %w", file, err)
}

func (c *Cluster) applyAndWait(ctx context.Context, step deploy.Step, progressStep *progress.Step) error {
	if len(step.Before) > 0 {
		if err := c.Kubectl(step.Before...).Run(ctx); err != nil {
			return err
		}
	}
	apply := c.Kubectl(step.Verb, "-f", "-")
	apply.Stdin = strings.NewReader(step.Content)
	if err := apply.Run(ctx); err != nil || len(step.Wait) == 0 {
		return err
	}
	progressStep.SetDetail("kubectl " + strings.Join(step.Wait, " "))
	if waitsForRollout(step) {
		return c.waitForServers(ctx, step)
	}
	return c.Kubectl(step.Wait...).Run(ctx)
}

// waitForServers waits for the rollout of a step, and checks that the Services of the step lead to
// the pods.
func (c *Cluster) waitForServers(ctx context.Context, step deploy.Step) error {
	if err := c.checkSelectors(ctx, step.Content); err != nil {
		return err
	}
	if err := c.waitForRollout(ctx, step); err != nil {
		return err
	}
	return c.waitForEndpoints(ctx, step.Content)
}

// describe shows the state of the installation and the last log lines of the pods that are
// not ready. It ignores its own errors, because the caller reports the failure.
func (c *Cluster) describe(ctx context.Context) {
	for _, args := range [][]string{
		{"get", "pods,jobs", "-o", "wide"},
		{"get", "events", "--field-selector=type=Warning", "-o", "custom-columns=LAST:.lastTimestamp,OBJECT:.involvedObject.name,MESSAGE:.message"},
	} {
		c.show(ctx, args...)
	}
	client, err := c.Client()
	if err != nil {
		return
	}
	pods, err := client.CoreV1().Pods("image-webhook").List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, pod := range pods.Items {
		if reason := probe.NotReady(pod); reason != "" {
			c.report.Note("Pod %s is not ready: %s", pod.Name, reason)
			c.show(ctx, "logs", pod.Name, "--all-containers", "--prefix", "--tail=20", "--ignore-errors")
		}
	}
}

// show prints a kubectl command and its output, or nothing if the command fails.
func (c *Cluster) show(ctx context.Context, args ...string) {
	out, err := c.Kubectl(append(args, "-n", "image-webhook")...).Output(ctx)
	if err == nil {
		c.report.Note("$ kubectl %s -n image-webhook\n%s\n", strings.Join(args, " "), out)
	}
}
