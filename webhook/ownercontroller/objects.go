package ownercontroller

import (
	"context"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

// labels are the labels of all objects of the controller.
var labels = map[string]string{managedByLabel: "image-webhook"}

const managedByLabel = "app.kubernetes.io/managed-by"

// annotations returns the annotations of all objects in a namespace.
func annotations(n *namespace) map[string]string {
	return map[string]string{namespaceUIDAnnotation: string(n.uid)}
}

// applyOptions make the controller the owner of the fields that it sets, even if another
// client has set them.
var applyOptions = metav1.ApplyOptions{FieldManager: "image-webhook-namespace-owner", Force: true}

const (
	// cacheWait is when a namespace is processed again if the cache has not got a new object.
	cacheWait = 5 * time.Second
	// quotaWait is how long a new quota may take to be in force before the condition says so.
	quotaWait = 5 * time.Second
	// quotaRecheck is how often a quota is checked after that. Its event comes earlier.
	quotaRecheck = time.Minute
)

// applyTemplate creates or corrects the LimitRange and the ResourceQuota, and waits until the
// quota is in force. The LimitRange comes first, because pods without its defaults are refused
// by the quota.
func (c *Controller) applyTemplate(ctx context.Context, n *namespace, t *template) error {
	if err := c.applyLimits(ctx, n, t.limits); err != nil {
		return stepFailed("LimitRangeFailed", err)
	}
	if err := c.applyQuota(ctx, n, t.quota); err != nil {
		return stepFailed("ResourceQuotaFailed", err)
	}
	return c.awaitQuota(ctx, n, t)
}

func (c *Controller) applyLimits(ctx context.Context, n *namespace, limits *part[applycorev1.LimitRangeSpecApplyConfiguration]) error {
	found, api := c.informers.limits.managedIn(n.name), c.clients.core.LimitRanges(n.name)
	switch {
	case found.isExempt(n):
		return nil
	case limits == nil && found == nil:
		return nil
	case limits == nil:
		return ignoreNotFound(api.Delete(ctx, objectName, deleteOnly(found)))
	case found.isFor(n) && found.spec == limits.stored:
		return nil
	}
	_, err := api.Apply(ctx, applycorev1.LimitRange(objectName, n.name).WithLabels(labels).WithAnnotations(annotations(n)).WithSpec(limits.apply), applyOptions)
	return waitIfNew(n, found, err)
}

func (c *Controller) applyQuota(ctx context.Context, n *namespace, quota *part[applycorev1.ResourceQuotaSpecApplyConfiguration]) error {
	found, api := c.informers.quotas.managedIn(n.name), c.clients.core.ResourceQuotas(n.name)
	switch {
	case found.isExempt(n):
		return nil
	case quota == nil && found == nil:
		return nil
	case quota == nil:
		return ignoreNotFound(api.Delete(ctx, objectName, deleteOnly(found)))
	case found.isFor(n) && found.spec == quota.stored:
		return nil
	}
	_, err := api.Apply(ctx, applycorev1.ResourceQuota(objectName, n.name).WithLabels(labels).WithAnnotations(annotations(n)).WithSpec(quota.apply), applyOptions)
	return waitIfNew(n, found, err)
}

// waitIfNew returns a waitError if an object has just been created. The next step follows when
// the object is in the cache. Otherwise, the step would be repeated until the cache has it.
func waitIfNew(n *namespace, found *managed, err error) error {
	if err == nil && !found.isFor(n) {
		return &waitError{cacheWait}
	}
	return err
}

// awaitQuota returns a waitError until the quota of a pending namespace is in force.
func (c *Controller) awaitQuota(ctx context.Context, n *namespace, t *template) error {
	found := c.informers.quotas.managedIn(n.name)
	if t.quota == nil || isReady(n) || found != nil && found.complete {
		return nil
	}
	if found == nil { // deleted in this moment
		return &waitError{cacheWait}
	}
	if waited := time.Since(found.created); waited < quotaWait {
		return &waitError{quotaWait - waited}
	}
	const message = "ResourceQuota " + objectName + " is not in force yet: its status is incomplete, which kube-controller-manager sets"
	if err := c.setNotReady(ctx, n, "WaitingForQuota", message); err != nil {
		return stepFailed("StatusFailed", err)
	}
	return &waitError{quotaRecheck}
}

// deleteOnly returns options that delete an object only if it is still the cached one.
func deleteOnly(m *managed) metav1.DeleteOptions {
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &m.uid}}
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// roleRef returns the reference to the role of owners.
func (c *Controller) roleRef() rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: c.ClusterRole}
}
