package ownercontroller

import (
	"encoding/json"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/webhook/owner"
)

// The caches keep only what the controller compares, so that ten thousand namespaces fit into
// a few megabytes. Equal texts are stored once.

// meta identifies a cached object.
type meta struct {
	namespace, name string
	uid             types.UID
	version         string
}

func metaOf(o metav1.Object) meta {
	return meta{o.GetNamespace(), o.GetName(), o.GetUID(), o.GetResourceVersion()}
}

// GetObjectMeta makes the informers accept a cached object.
func (m meta) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.namespace, Name: m.name, UID: m.uid, ResourceVersion: m.version}
}

// namespace is a cached Namespace.
type namespace struct {
	meta
	namespaceState
}

// namespaceState contains the fields of a Namespace that the controller reads.
type namespaceState struct {
	owner       string
	hasOwner    bool
	tenancy     string // empty: no label
	terminating bool
	condition   unique.Handle[condition]
}

// condition contains the fields of the condition OwnerBound that the controller writes. The
// zero value means that the namespace does not have the condition.
type condition struct {
	status          corev1.ConditionStatus
	reason, message string
}

// compactNamespace is the transformation of the informer. It returns an object that it has
// already transformed unchanged.
func compactNamespace(object any) (any, error) {
	n, ok := object.(*corev1.Namespace)
	if !ok {
		return object, nil
	}
	state := namespaceState{tenancy: n.Labels[owner.TenancyLabel], terminating: n.DeletionTimestamp != nil}
	state.owner, state.hasOwner = n.Annotations[owner.Annotation]
	var found condition
	for _, c := range n.Status.Conditions {
		if c.Type == owner.Condition {
			found = condition{c.Status, c.Reason, c.Message}
		}
	}
	state.condition = unique.Make(found)
	return &namespace{metaOf(n), state}, nil
}

// managed is a cached object that the controller has created in a namespace.
type managed struct {
	meta
	managedState
}

// managedState contains the fields of such an object that the controller reads.
type managedState struct {
	spec unique.Handle[string]
	// complete says that the quota is in force: its status covers its spec. Until then, the
	// API server admits everything.
	complete bool
	// created limits how long the controller waits for the status.
	created time.Time
	// ignoresTemplate says that an administrator has exempted the object.
	ignoresTemplate bool
	// namespaceUID is the UID of the namespace for which the object was written. After a
	// namespace was deleted and created again, a cache may still have objects of the old one.
	namespaceUID types.UID
	// isOurs says that the object has the label of the controller, and not only its name.
	isOurs bool
	role   rbacv1.RoleRef // of a RoleBinding
}

// specOf returns the JSON of a spec. Two specs are equal if their handles are.
func specOf(spec any) unique.Handle[string] {
	content, err := json.Marshal(spec)
	if err != nil {
		panic(err) // types of the API can be encoded
	}
	return unique.Make(string(content))
}

// templateLabel exempts an object from the template, with the value templateIgnored.
const (
	templateLabel   = "image-webhook.dev/template"
	templateIgnored = "ignore"
)

// namespaceUIDAnnotation contains the UID of the namespace for which an object was written.
const namespaceUIDAnnotation = "image-webhook.dev/namespace-uid"

// isFor reports whether the object was written for a namespace. m may be nil.
func (m *managed) isFor(n *namespace) bool { return m != nil && m.namespaceUID == n.uid }

// isExempt reports whether an administrator has exempted the object of a namespace. In a pending
// namespace, it must be an object of this namespace and not of an earlier one. m may be nil.
func (m *managed) isExempt(n *namespace) bool {
	return m != nil && m.ignoresTemplate && (m.isFor(n) || n.tenancy != owner.Pending)
}

// compactManaged is the transformation of the informers for managed objects.
func compactManaged(object any) (any, error) {
	o, ok := object.(metav1.Object)
	if !ok {
		return object, nil // already transformed
	}
	state := managedState{
		ignoresTemplate: o.GetLabels()[templateLabel] == templateIgnored,
		namespaceUID:    types.UID(o.GetAnnotations()[namespaceUIDAnnotation]),
		isOurs:          o.GetLabels()[managedByLabel] == labels[managedByLabel],
	}
	switch typed := object.(type) {
	case *corev1.ResourceQuota:
		state.spec, state.complete = specOf(typed.Spec), isComplete(typed)
		state.created = typed.CreationTimestamp.Time
	case *corev1.LimitRange:
		state.spec = specOf(typed.Spec)
	case *rbacv1.RoleBinding:
		state.spec, state.role = bindingSpec(typed.RoleRef, typed.Subjects), typed.RoleRef
	}
	return &managed{metaOf(o), state}, nil
}

// isComplete reports whether the status of a quota covers its spec. The quota is only then
// enforced (kubernetes/kubernetes#73698).
func isComplete(q *corev1.ResourceQuota) bool {
	for name, hard := range q.Spec.Hard {
		got, known := q.Status.Hard[name]
		_, counted := q.Status.Used[name]
		if !known || !counted || got.Cmp(hard) != 0 {
			return false
		}
	}
	return true
}

// bindingSpec returns the fields of a RoleBinding that the controller sets.
func bindingSpec(role rbacv1.RoleRef, subjects []rbacv1.Subject) unique.Handle[string] {
	return specOf(struct {
		Role     rbacv1.RoleRef
		Subjects []rbacv1.Subject
	}{role, subjects})
}
