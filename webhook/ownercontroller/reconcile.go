package ownercontroller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reconcile makes the objects of a namespace what they should be. It returns a waitError while
// it waits for another controller, and a stepError for a step that failed.
func (c *Controller) reconcile(ctx context.Context, name string) error {
	n := c.informers.namespace(name)
	switch {
	case n == nil || n.terminating || n.name == ownNamespace: // whose RoleBinding is for the Lease
		return nil
	case !n.hasOwner && n.tenancy == "" && !c.hasLeftover(n):
		return nil
	case !n.hasOwner:
		return c.release(ctx, n)
	}
	return c.bind(ctx, n)
}

// bind gives a namespace the objects of the template, and its owner the role.
func (c *Controller) bind(ctx context.Context, n *namespace) error {
	if c.hasFormerOwner(n) {
		if err := c.bindOwner(ctx, n); err != nil { // a former owner loses the rights at once
			return err
		}
	}
	t, err := c.templates.current()
	if err != nil {
		return &stepError{"InvalidTemplate", err}
	}
	if err := c.applyTemplate(ctx, n, t); err != nil {
		return err
	}
	if err := c.bindOwner(ctx, n); err != nil {
		return err
	}
	return c.setReady(ctx, n)
}

// release takes back what a former owner got. The quota stays: the namespace may be in use.
func (c *Controller) release(ctx context.Context, n *namespace) error {
	if err := c.unbind(ctx, n); err != nil {
		return err
	}
	return stepFailed("ReleaseFailed", c.clearTenancy(ctx, n))
}

// stepError is the failure of a step. The reason becomes the reason of the condition.
type stepError struct {
	reason string
	err    error
}

func (e *stepError) Error() string { return e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// stepFailed returns a stepError, or nil if err is nil.
func stepFailed(reason string, err error) error {
	if err == nil {
		return nil
	}
	return &stepError{reason, err}
}

// waitError says that a namespace waits for another controller. The caches report when the wait
// is over; the namespace is also processed again after the time.
type waitError struct{ after time.Duration }

func (e *waitError) Error() string { return "waiting for another controller" }

// report shows an error to the users of a namespace: as a log line and an Event, and as the
// condition of a namespace that is pending. The first failures are often over in a moment,
// such as a cache of the API server that is behind.
func (c *Controller) report(ctx context.Context, name string, err error) {
	const tolerated = 2
	n := c.informers.namespace(name)
	if n == nil || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return // it is being deleted
	}
	failures := c.queue.NumRequeues(name)
	if failures < tolerated {
		c.Log.Debug("will try again", "namespace", name, "reason", err)
		return
	}
	reason := "Failed"
	if step := (*stepError)(nil); errors.As(err, &step) {
		reason = step.reason
	}
	c.Log.Error("cannot make the namespace ready", "namespace", name, "owner", n.owner, "step", reason, "reason", err)
	c.events.Event(referenceTo(n), corev1.EventTypeWarning, reason, err.Error())
	if err := c.setNotReady(ctx, n, reason, fmt.Sprintf("%v; image-webhook tries again", err)); err != nil {
		c.Log.Error("cannot write the condition", "namespace", name, "reason", err)
	}
}

// referenceTo returns a reference to a namespace for an Event.
func referenceTo(n *namespace) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: n.name, UID: n.uid}
}
