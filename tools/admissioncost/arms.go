package admissioncost

import (
	"context"
	"errors"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/webhook/celpolicy"
)

// Names of the arms.
const (
	none         = "none"
	webhook      = "webhook"
	hybrid       = "hybrid"
	policiesOnly = "policies"
)

const (
	modeLabel = "image-webhook.dev/mode"
	ownLabel  = "image-webhook.dev/loadtest" // marks the objects that this package creates
	ownValue  = "apiserver"
	ownObject = ownLabel + "=" + ownValue
)

// arm is a namespace in which pods are created.
type arm struct {
	name      string
	namespace string
	body      []byte // a pod, in JSON
}

// setups are the arms to create. The first one is the baseline.
var setups = []struct {
	name, mode string
	policies   func(namespace string, installed admissionv1.MutatingWebhook) (*policies, error) // nil: none
}{
	{none, "off", nil},
	{webhook, "deny", nil},
	{hybrid, "off", func(namespace string, installed admissionv1.MutatingWebhook) (*policies, error) {
		return newPolicies(namespace, celpolicy.Hybrid, installed)
	}},
	{policiesOnly, "off", func(namespace string, installed admissionv1.MutatingWebhook) (*policies, error) {
		return newPolicies(namespace, celpolicy.Complete, installed)
	}},
}

// withArms creates the arms, calls run, and removes the arms.
func (c *cluster) withArms(ctx context.Context, report *progress.Reporter, run func([]*arm) error) (err error) {
	if err := c.cleanUp(ctx); err != nil { // what a killed run has left
		return err
	}
	defer func() { err = errors.Join(err, c.cleanUp(context.WithoutCancel(ctx))) }()
	var arms []*arm
	err = report.Step("create the namespaces and the policies", func(*progress.Step) error {
		arms, err = c.createArms(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return run(arms)
}

// cleanUp removes all objects that this package created.
func (c *cluster) cleanUp(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, answerLimit)
	defer stop()
	err := deletePolicies(ctx, c.client, ownObject)
	namespaces, failed := c.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: ownObject})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("remove the namespaces and policies of the measurement: %w", err)
	}
	for _, namespace := range namespaces.Items {
		failed := c.client.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{})
		if !apierrors.IsNotFound(failed) && !apierrors.IsConflict(failed) { // it is already being removed
			err = errors.Join(err, failed)
		}
	}
	return err
}

// createArms creates the arms and checks that each one handles pods as expected.
func (c *cluster) createArms(ctx context.Context) (arms []*arm, err error) {
	installed, err := installedMutating(ctx, c.client)
	if err != nil {
		return nil, err
	}
	for _, setup := range setups {
		a := &arm{name: setup.name}
		created, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			GenerateName: "loadtest-" + setup.name + "-", Labels: map[string]string{ownLabel: ownValue, modeLabel: setup.mode},
		}}, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("create a namespace for the arm %q: %w", setup.name, err)
		}
		a.namespace, a.body = created.Name, newPod()
		if setup.policies != nil {
			p, err := setup.policies(a.namespace, installed)
			if err == nil {
				err = errors.Join(p.create(ctx, c.client), p.waitActive(ctx, c.client))
			}
			if err != nil {
				return nil, fmt.Errorf("prepare the arm %q: %w", setup.name, err)
			}
		}
		if err := c.waitUsable(ctx, a); err != nil {
			return nil, err
		}
		arms = append(arms, a)
	}
	return arms, c.checkSameResult(ctx, arms)
}

// waitUsable waits until pods can be created in the namespace of an arm: it needs a service account,
// which a controller creates.
func (c *cluster) waitUsable(ctx context.Context, a *arm) error {
	var lastErr error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, answerLimit, true, func(ctx context.Context) (bool, error) {
		if _, err := c.create(ctx, a); ctx.Err() == nil {
			lastErr = err
		}
		return lastErr == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("create a pod in the arm %q: %w", a.name, lastErr)
	}
	return err
}
