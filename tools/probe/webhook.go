// Package probe finds out whether the API server calls the webhook, and why a pod is not ready. It
// changes nothing in the cluster, and does not know how the cluster was created.
package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// servingLimit is how long the API server may take to call the webhook after the installation:
// it watches the webhook configurations.
const servingLimit = time.Minute

// interval is the time between two checks.
const interval = 100 * time.Millisecond

// WaitServing waits until the API server calls the webhook that mirrors the image of a pod, and the
// other webhook, or a policy or a plugin of the API server, denies a pod with the tag latest. It creates
// the pods as a dry run. An available Deployment does not prove that the API server calls the webhooks. If
// static files mirror and deny, a warning about a workload proves that it does.
func WaitServing(ctx context.Context, config *rest.Config, step *progress.Step) error {
	return poll(ctx, config, step, checkBoth)
}

// WaitPolicyDenies waits until a policy denies: that of the hybrid form, which the API server evaluates
// before it calls the webhook, or that of static files, which it evaluates first.
func WaitPolicyDenies(ctx context.Context, config *rest.Config, step *progress.Step) error {
	return poll(ctx, config, step, func(ctx context.Context, client kubernetes.Interface) error {
		return checkDenies(ctx, client, policyDenial, staticDenial)
	})
}

// Form is what judges pods besides or instead of the webhook.
type Form struct {
	Hybrid bool // a policy of the API denies
	Static bool // policies of static files mirror and deny, before everything else
}

// FindForm returns the form of the installation.
func FindForm(ctx context.Context, config *rest.Config) (f Form, err error) {
	client, err := newClient(config)
	if err != nil {
		return f, err
	}
	_, err = createDryRun(ctx, client, deniedImage)
	if err == nil || !apierrors.IsForbidden(err) {
		return f, err
	}
	f.Static = strings.Contains(err.Error(), staticDenial)
	f.Hybrid = strings.Contains(err.Error(), policyDenial)
	if !f.Static {
		return f, nil
	}
	// The message names only the policy that denies first.
	_, err = client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Get(ctx, deploy.DenyingPolicy, metav1.GetOptions{})
	f.Hybrid = err == nil
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return f, err
}

// Parts of the messages of denials.
const (
	webhookDenial = "validating.image-webhook.dev"
	policyDenial  = "ValidatingAdmissionPolicy 'image-webhook'"
	staticDenial  = "ValidatingAdmissionPolicy 'image-webhook.static.k8s.io'"
	pluginDenial  = "image policy webhook backend denied"
)

// newClient returns a client that prints no warnings and has no limit.
func newClient(config *rest.Config) (kubernetes.Interface, error) {
	quiet := rest.CopyConfig(config)
	quiet.WarningHandlerWithContext = warnings{}
	quiet.QPS = -1 // the polling itself is the limit
	return kubernetes.NewForConfig(quiet)
}

// poll waits until check succeeds. It shows the last error of check as the detail of step.
func poll(ctx context.Context, config *rest.Config, step *progress.Step, check func(context.Context, kubernetes.Interface) error) error {
	client, err := newClient(config)
	if err != nil {
		return err
	}
	started := time.Now()
	var lastErr error
	err = wait.PollUntilContextTimeout(ctx, interval, servingLimit, true, func(ctx context.Context) (bool, error) {
		err := check(ctx, client)
		if err != nil && ctx.Err() == nil { // an error after the end of ctx is not the webhook's
			lastErr = err
			step.SetDetail(err.Error())
		}
		return err == nil, nil
	})
	if err == nil || errors.Is(err, context.Canceled) || lastErr == nil {
		return err
	}
	return fmt.Errorf("after %s: %w", time.Since(started).Round(time.Second), lastErr)
}

func checkBoth(ctx context.Context, client kubernetes.Interface) error {
	if err := checkMirrors(ctx, client); err != nil {
		return err
	}
	err := checkDenies(ctx, client, staticDenial)
	if err == nil {
		return checkWarns(ctx, client)
	}
	return checkDenies(ctx, client, webhookDenial, policyDenial, pluginDenial)
}

func checkMirrors(ctx context.Context, client kubernetes.Interface) error {
	const image = "nginx:1.25"
	pod, err := createDryRun(ctx, client, image)
	if err != nil {
		return err
	}
	if pod.Spec.Containers[0].Image == image {
		return fmt.Errorf("a pod with image %q is not mirrored", image)
	}
	return nil
}

// deniedImage is an image that the policy file in deploy/ disallows.
const deniedImage = "nginx:latest"

// checkDenies returns an error unless a pod is denied with one of the messages.
func checkDenies(ctx context.Context, client kubernetes.Interface, denials ...string) error {
	_, err := createDryRun(ctx, client, deniedImage)
	if err == nil {
		return fmt.Errorf("a pod with image %q is not denied", deniedImage)
	}
	expected := func(denial string) bool { return strings.Contains(err.Error(), denial) }
	if !apierrors.IsForbidden(err) || !slices.ContainsFunc(denials, expected) {
		return err
	}
	return nil
}

func createDryRun(ctx context.Context, client kubernetes.Interface, image string) (*corev1.Pod, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: image}}},
	}
	return client.CoreV1().Pods(metav1.NamespaceDefault).
		Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}
