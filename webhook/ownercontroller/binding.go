package ownercontroller

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"
)

// bindingSpec returns the RoleBinding of an owner. The subject is always a User, also for a
// service account: RBAC compares its name with the user name of the request, which is what
// the annotation contains.
func (c *Controller) bindingSpec(owner string) unique.Handle[string] {
	return bindingSpec(c.roleRef(), []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: owner}})
}

// bindOwner creates or corrects the RoleBinding of a namespace.
func (c *Controller) bindOwner(ctx context.Context, n *namespace) error {
	found := c.informers.bindings.managedIn(n.name)
	if found.isFor(n) && found.spec == c.bindingSpec(n.owner) {
		return nil
	}
	if found != nil && found.role != c.roleRef() { // the role of a binding cannot be changed
		if err := c.unbind(ctx, n); err != nil {
			return err
		}
	}
	if err := c.roles.check(ctx, c.ClusterRole); err != nil {
		return err
	}
	_, err := c.clients.rbac.RoleBindings(n.name).Apply(ctx, c.binding(n), applyOptions)
	if err == nil && found != nil {
		c.Log.Info("replaced the RoleBinding", "namespace", n.name, "owner", n.owner)
		c.events.Eventf(referenceTo(n), corev1.EventTypeNormal, "OwnerBound", "bound ClusterRole %s to the owner %q, in place of other subjects", c.ClusterRole, n.owner)
	}
	return stepFailed("RoleBindingFailed", waitIfNew(n, found, err))
}

func (c *Controller) binding(n *namespace) *applyrbacv1.RoleBindingApplyConfiguration {
	role := c.roleRef()
	return applyrbacv1.RoleBinding(objectName, n.name).WithLabels(labels).WithAnnotations(annotations(n)).
		WithRoleRef(applyrbacv1.RoleRef().WithAPIGroup(role.APIGroup).WithKind(role.Kind).WithName(role.Name)).
		WithSubjects(applyrbacv1.Subject().WithAPIGroup(rbacv1.GroupName).WithKind(rbacv1.UserKind).WithName(n.owner))
}

// unbind deletes the RoleBinding, if it exists.
func (c *Controller) unbind(ctx context.Context, n *namespace) error {
	found := c.informers.bindings.managedIn(n.name)
	if found == nil {
		return nil
	}
	err := ignoreNotFound(c.clients.rbac.RoleBindings(n.name).Delete(ctx, objectName, deleteOnly(found)))
	return stepFailed("RoleBindingFailed", err)
}

// hasFormerOwner reports whether a RoleBinding gives the rights of the owner to others. In a new
// namespace, the cached RoleBinding may be one of an earlier namespace with the same name.
func (c *Controller) hasFormerOwner(n *namespace) bool {
	found := c.informers.bindings.managedIn(n.name)
	return found != nil && found.spec != c.bindingSpec(n.owner) && (isReady(n) || found.isFor(n))
}

// hasLeftover reports whether a namespace without an owner and a label still has a condition or a
// RoleBinding of the controller: it was killed before it set the label, or an exempt user has
// removed owner and label together.
func (c *Controller) hasLeftover(n *namespace) bool {
	found := c.informers.bindings.managedIn(n.name)
	return n.condition != unique.Make(condition{}) || found != nil && found.isOurs
}

// roleChecker checks that the role of owners exists. The API server accepts a RoleBinding
// without it, and the owner of a ready namespace would have no rights.
type roleChecker struct {
	roles rbacclient.ClusterRoleInterface

	mu      sync.Mutex
	checked time.Time // when the role last existed
}

// roleMemory is how long the existence of the role is remembered.
const roleMemory = 10 * time.Second

func (r *roleChecker) check(ctx context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < roleMemory {
		return nil
	}
	_, err := r.roles.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &stepError{"RoleNotFound", fmt.Errorf("ClusterRole %q does not exist: create it, or choose another one with --cluster-role", name)}
	}
	if err == nil {
		r.checked = time.Now()
	}
	return stepFailed("RoleBindingFailed", err)
}
