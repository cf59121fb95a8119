package devcluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/probe"
)

// rolloutStep returns the step of the installation that applies the webhook's Deployment.
func rolloutStep() deploy.Step {
	steps := deploy.Steps()
	return steps[slices.IndexFunc(steps, waitsForRollout)]
}

// waitForRollout runs the `kubectl rollout status` of a step, but returns an error as soon as a
// new pod crashes repeatedly, instead of waiting for the time limit.
func (c *Cluster) waitForRollout(ctx context.Context, step deploy.Step) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := c.findCrash(ctx, deploymentName(step)); err != nil {
			cancel(err)
		}
	}, time.Second)
	return c.Kubectl(step.Wait...).Run(ctx)
}

// deploymentName returns the name of the Deployment whose rollout a step waits for.
func deploymentName(step deploy.Step) string {
	for _, arg := range step.Wait {
		if name, isDeployment := strings.CutPrefix(arg, "deployment/"); isDeployment {
			return name
		}
	}
	return ""
}

// findCrash returns an error that names a new pod of a Deployment that crashes repeatedly, or nil
// if there is none or the cluster cannot be read.
func (c *Cluster) findCrash(ctx context.Context, name string) error {
	client, err := c.Client()
	if err != nil {
		return nil
	}
	deployment, err := client.AppsV1().Deployments("image-webhook").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	pods, err := client.CoreV1().Pods("image-webhook").List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(deployment.Spec.Selector)})
	if err != nil {
		return nil
	}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil && runsTemplate(deployment, pod) && probe.CrashLoops(pod) {
			return fmt.Errorf("pod %s does not start: %s", pod.Name, probe.NotReady(pod))
		}
	}
	return nil
}

// Servers returns the webhook's pods, including terminating pods.
func (c *Cluster) Servers(ctx context.Context) ([]corev1.Pod, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods("image-webhook").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// runsTemplate reports whether a pod runs the current template of its Deployment.
func runsTemplate(deployment *appsv1.Deployment, pod corev1.Pod) bool {
	wanted, actual := deployment.Spec.Template.Spec.Containers[0], pod.Spec.Containers[0]
	return actual.Image == wanted.Image && slices.Equal(actual.Args, wanted.Args)
}
