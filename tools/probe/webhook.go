// Package serving waits until an API server really asks the webhook.
package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// limit is how long the API server may take to call the webhook after the
// installation: it learns of configurations by watching them.
const limit = time.Minute

// interval is the pause between two tries.
const interval = 100 * time.Millisecond

// WaitServing returns when the API server really calls both sides of the webhook: a
// dry-run create of a pod comes back changed, and one of a latest image is denied.
// An available Deployment alone does not prove that. What it still waits for goes
// to step.
func WaitServing(ctx context.Context, config *rest.Config, step *progress.Step) error {
	quiet := rest.CopyConfig(config)
	quiet.WarningHandler = rest.NoWarnings{}
	quiet.QPS = -1 // the polling itself is the limit
	client, err := kubernetes.NewForConfig(quiet)
	if err != nil {
		return err
	}
	started := time.Now()
	var last error
	err = wait.PollUntilContextTimeout(ctx, interval, limit, true, func(ctx context.Context) (bool, error) {
		err := both(ctx, client)
		if err != nil && ctx.Err() == nil { // the end of the wait says nothing of the webhook
			last = err
			step.SetDetail(err.Error())
		}
		return err == nil, nil
	})
	if err == nil || errors.Is(err, context.Canceled) || last == nil {
		return err
	}
	return fmt.Errorf("after %s: %w", time.Since(started).Round(time.Second), last)
}

func both(ctx context.Context, client kubernetes.Interface) error {
	if err := mirrors(ctx, client); err != nil {
		return err
	}
	return denies(ctx, client)
}

func mirrors(ctx context.Context, client kubernetes.Interface) error {
	const image = "nginx:1.25"
	pod, err := dryRun(ctx, client, image)
	if err != nil {
		return err
	}
	if pod.Spec.Containers[0].Image == image {
		return fmt.Errorf("a pod with %s is created without its mirror", image)
	}
	return nil
}

func denies(ctx context.Context, client kubernetes.Interface) error {
	const image = "nginx:latest"
	_, err := dryRun(ctx, client, image)
	if err == nil {
		return fmt.Errorf("a pod with %s is not denied", image)
	}
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "validating.image-webhook.dev") {
		return err
	}
	return nil
}

func dryRun(ctx context.Context, client kubernetes.Interface, image string) (*corev1.Pod, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: image}}},
	}
	return client.CoreV1().Pods(metav1.NamespaceDefault).
		Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}
