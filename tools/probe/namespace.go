package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	ownerAnnotation = "image-webhook.dev/owner"
	tenancyLabel    = "image-webhook.dev/tenancy"
)

// WaitNamespacesChecked waits until the API server calls the webhook for a new namespace with an
// owner, and evaluates the policy for new namespaces. It creates the namespaces as a dry run. The
// user of config must have all rights, but must not be in the group system:masters, which is
// exempt.
func WaitNamespacesChecked(ctx context.Context, config *rest.Config, step *progress.Step) error {
	return poll(ctx, config, step, func(ctx context.Context, client kubernetes.Interface) error {
		if err := checkMarksPending(ctx, client); err != nil {
			return err
		}
		return checkRefusesReady(ctx, client)
	})
}

func checkMarksPending(ctx context.Context, client kubernetes.Interface) error {
	created, err := createNamespace(ctx, client, metav1.ObjectMeta{Annotations: map[string]string{ownerAnnotation: "probe"}})
	if err != nil {
		return err
	}
	if tenancy := created.Labels[tenancyLabel]; tenancy != "pending" {
		return fmt.Errorf("a new namespace with an owner has the label %s=%q, want pending", tenancyLabel, tenancy)
	}
	return nil
}

// checkRefusesReady creates a namespace without an owner, for which the webhook is not called.
func checkRefusesReady(ctx context.Context, client kubernetes.Interface) error {
	_, err := createNamespace(ctx, client, metav1.ObjectMeta{Labels: map[string]string{tenancyLabel: "ready"}})
	if err == nil {
		return errors.New("a new namespace with the label " + tenancyLabel + "=ready is not refused")
	}
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "image-webhook-namespace-owner-create") {
		return err
	}
	return nil
}

func createNamespace(ctx context.Context, client kubernetes.Interface, metadata metav1.ObjectMeta) (*corev1.Namespace, error) {
	metadata.GenerateName = "probe-"
	return client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metadata}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}
