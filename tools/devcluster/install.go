package devcluster

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
)

// waitTimeout bounds what an installation waits for; kubectl's form.
const waitTimeout = "--timeout=120s"

// after says what has to come true before the next manifest is applied: the
// same commands that a person types. Beside these, only the Deployment is waited for.
var after = map[string][]string{
	"03-certgen.yaml":                {"wait", "--for=condition=complete", "job", "-l", "job=certgen"},
	"06-patch-webhookconfigure.yaml": {"wait", "--for=condition=complete", "job", "-l", "job=patch-webhookconfigure"},
}

// Install applies the numbered manifests in their order, with kubectl, as a
// person would, and returns when the webhook answers. The Deployment runs the
// image contentRef, so that a new content rolls out; empty: as the manifest says. The
// webhook gets the flags beside those of the manifest.
func (c *Cluster) Install(ctx context.Context, contentRef string, flags ...string) error {
	if err := c.removeJobs(ctx); err != nil {
		return err
	}
	if err := c.applyAll(ctx, deploy.Files(), contentRef, flags); err != nil {
		return err
	}
	return c.markFinished(ctx)
}

// applyAll applies manifests in their order, and returns when the webhook answers.
func (c *Cluster) applyAll(ctx context.Context, files []deploy.File, contentRef string, flags []string) error {
	for _, file := range files {
		if err := c.apply(ctx, file.Name, ForDeployment(file.Name, file.Content, contentRef, flags...)); err != nil {
			return err
		}
	}
	return c.waitServing(ctx)
}

// waitServing returns when the API server really calls both sides of the webhook.
func (c *Cluster) waitServing(ctx context.Context) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	return c.report.Step("the webhook denies and mirrors", func(step *progress.Step) error {
		return probe.WaitServing(ctx, config, step)
	})
}

// deployment is the manifest of the Deployment.
const deployment = "04-webhook.yaml"

// ForDeployment names the image ref in the manifest of the Deployment, if it is that,
// and adds the flags. The Jobs keep what their manifests say, or a plain `kubectl
// apply` of them, which must not change a Job's template, would be refused.
func ForDeployment(name, manifest, ref string, flags ...string) string {
	if name != deployment {
		return manifest
	}
	if ref != "" {
		manifest = strings.ReplaceAll(manifest, webhookimage.StaticRef, ref)
	}
	const verb = "            - serve\n"
	for _, flag := range flags {
		manifest = strings.Replace(manifest, verb, verb+"            - "+flag+"\n", 1)
	}
	return manifest
}

// removeJobs makes room for the Jobs to run again: applying a Job that has
// finished would do nothing.
func (c *Cluster) removeJobs(ctx context.Context) error {
	err := c.Kubectl("delete", "job", "certgen", "patch-webhookconfigure",
		"-n", "image-webhook", "--ignore-not-found").Run(ctx)
	if err != nil {
		return fmt.Errorf("remove the Jobs of an earlier installation: %w", err)
	}
	return nil
}

func (c *Cluster) apply(ctx context.Context, name, manifest string) error {
	err := c.report.Step("apply "+name, func(step *progress.Step) error {
		apply := c.Kubectl("apply", "-f", "-")
		apply.Stdin = strings.NewReader(manifest)
		if err := apply.Run(ctx); err != nil {
			return err
		}
		if name == deployment {
			step.SetDetail("kubectl rollout status deployment/webhook")
			return c.rolledOut(ctx)
		}
		wait := after[name]
		if wait == nil {
			return nil
		}
		step.SetDetail("kubectl " + strings.Join(wait, " "))
		return c.Kubectl(append(wait, "-n", "image-webhook", waitTimeout)...).Run(ctx)
	})
	if err != nil {
		c.describe(ctx)
		return fmt.Errorf("apply deploy/%s: %w", name, err)
	}
	return nil
}

// describe shows how the installation is, and what the pods that are not ready last
// said. It never hides the failure that it is called for.
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

// show is best effort.
func (c *Cluster) show(ctx context.Context, args ...string) {
	out, err := c.Kubectl(append(args, "-n", "image-webhook")...).Output(ctx)
	if err == nil {
		c.report.Note("$ kubectl %s -n image-webhook\n%s\n", strings.Join(args, " "), out)
	}
}
