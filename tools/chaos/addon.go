package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// addOn is a DaemonSet in the role of a network add-on: it has its own namespace, and its pods must
// start before the webhook can. As docs/configuration.md asks, its namespace has the mode off.
type addOn struct {
	*run
	namespace string
}

const (
	addOnName = "network-addon"

	// addOnImage is on every node, because each pod needs it.
	addOnImage = "registry.k8s.io/pause:3.10"
)

// startAddOn creates the add-on and waits until it runs.
func (r *run) startAddOn(ctx context.Context, step *progress.Step) (*addOn, error) {
	namespace, err := r.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "chaos-addon-", Labels: map[string]string{ownLabel: "true", "image-webhook.dev/mode": "off"},
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create a namespace: %w", err)
	}
	labels := map[string]string{"app": addOnName}
	daemonSet := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: addOnName},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					HostNetwork: true, PriorityClassName: "system-node-critical", TerminationGracePeriodSeconds: new(int64(0)),
					Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:  []corev1.Container{{Name: "addon", Image: addOnImage, ImagePullPolicy: corev1.PullNever}},
				},
			},
		},
	}
	if _, err := r.client.AppsV1().DaemonSets(namespace.Name).Create(ctx, daemonSet, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("create the DaemonSet %s: %w", addOnName, err)
	}
	a := &addOn{r, namespace.Name}
	return a, a.waitRunning(ctx, step, nil)
}

// replace deletes the pods, and waits until new pods run.
func (a *addOn) replace(ctx context.Context, step *progress.Step) error {
	old, err := a.pods(ctx)
	if err != nil {
		return err
	}
	now := metav1.NewDeleteOptions(0)
	for _, pod := range old {
		if err := a.client.CoreV1().Pods(a.namespace).Delete(ctx, pod.Name, *now); err != nil {
			return err
		}
	}
	if err := a.waitRunning(ctx, step, old); err != nil {
		return err
	}
	a.notes = append(a.notes, fmt.Sprintf("%d pods of a network add-on were created again", len(old)))
	return nil
}

func (a *addOn) pods(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := a.client.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// waitRunning waits until a pod runs on each node, none of which is an old one.
func (a *addOn) waitRunning(ctx context.Context, step *progress.Step, old []corev1.Pod) error {
	return waitUntil(ctx, machineLimit, step, func(ctx context.Context) error {
		nodes, err := a.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		pods, err := a.pods(ctx)
		if err != nil {
			return err
		}
		ready := map[string]bool{} // by node
		for _, pod := range pods {
			isOld := slices.ContainsFunc(old, func(o corev1.Pod) bool { return o.UID == pod.UID })
			ready[pod.Spec.NodeName] = isRunning(pod) && !isOld
		}
		for _, node := range nodes.Items {
			if !ready[node.Name] {
				return errors.New("waiting for the network add-on on node " + node.Name)
			}
		}
		return nil
	})
}

func isRunning(pod corev1.Pod) bool {
	return len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Running != nil
}
