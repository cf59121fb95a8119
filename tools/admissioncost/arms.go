package admissioncost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

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
	static       = "static"
	plugin       = "plugin"
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
	body      []byte       // a pod, in JSON
	pods      atomic.Int64 // number of pods of nextBody
}

// nextBody returns the next pod to create, in JSON. In the arm plugin, each pod has another image, so that the
// API server has no answer for it in its cache. The pods of the other arms are all the same.
func (a *arm) nextBody() []byte {
	if a.name != plugin {
		return a.body
	}
	return numberImage(a.body, a.pods.Add(1))
}

// setup is how an arm is prepared.
type setup struct {
	name string
	// register lets the API server apply the rules to a namespace, and only to it; nil: it applies none.
	register func(ctx context.Context, c *cluster, namespace string) error
}

// setups returns the arms that the cluster can have. The first one is the baseline.
func (c *cluster) setups() []setup {
	all := []setup{
		{none, nil}, {webhook, registerWebhooks}, {hybrid, registerPolicies(celpolicy.Hybrid)},
		{policiesOnly, registerPolicies(celpolicy.Complete)}, {static, registerStatic}, {plugin, nil},
	}
	return slices.DeleteFunc(all, func(s setup) bool { return s.name == static && c.static == "" || s.name == plugin && !c.plugin })
}

// leftOut returns the arms that the cluster could have, but not as it was started, and those that it cannot
// have, with what to do.
func (c *cluster) leftOut() (startable, impossible []string) {
	const remedy = "start the API server with `make controlplane STATIC=1`"
	if c.static == "" {
		startable = append(startable, fmt.Sprintf("the arm %q is left out: the API server reads no policies from files: %s or `make up install STATIC=1`", static, remedy))
	}
	switch text := fmt.Sprintf("the arm %q is left out: the API server does not run the plugin ImagePolicyWebhook: ", plugin); {
	case c.plugin:
	case c.bare:
		startable = append(startable, text+remedy)
	default:
		impossible = append(impossible, text+"measure it on that of `make controlplane STATIC=1`")
	}
	return startable, impossible
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
	err := errors.Join(removeFiles(c.static), deletePolicies(ctx, c.client, ownObject))
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
	if c.installed, err = installedWebhooks(ctx, c.client); err != nil {
		return nil, err
	}
	for _, setup := range c.setups() {
		a, err := c.createArm(ctx, setup)
		if err != nil {
			return nil, fmt.Errorf("prepare the arm %q: %w", setup.name, err)
		}
		arms = append(arms, a)
	}
	return arms, c.checkSameResult(ctx, arms)
}

// createArm creates an arm. Its namespace has the mode off, so that what is installed does not apply besides.
func (c *cluster) createArm(ctx context.Context, s setup) (*arm, error) {
	created, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "loadtest-" + s.name + "-", Labels: map[string]string{ownLabel: ownValue, modeLabel: "off"},
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create a namespace: %w", err)
	}
	a := &arm{name: s.name, namespace: created.Name, body: newPod()}
	if s.register != nil {
		if err := s.register(ctx, c, a.namespace); err != nil {
			return nil, err
		}
		if err := waitActive(ctx, c.client, a.namespace); err != nil {
			return nil, err
		}
	}
	return a, c.waitUsable(ctx, a)
}

// waitUsable waits until pods can be created in the namespace of an arm: it needs a service account,
// which a controller creates.
func (c *cluster) waitUsable(ctx context.Context, a *arm) error {
	var lastErr error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, answerLimit, true, func(ctx context.Context) (bool, error) {
		if err := c.create(ctx, a); ctx.Err() == nil {
			lastErr = err
		}
		return lastErr == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("create a pod: %w", lastErr)
	}
	return err
}
