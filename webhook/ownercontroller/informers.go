package ownercontroller

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// informers watch the namespaces, and in all namespaces the objects with the name of the
// managed ones.
type informers struct {
	namespaces, limits, quotas, bindings informer
}

// informer is a cache and what fills it.
type informer struct {
	cache.Store
	cache.Controller
}

// newInformers returns informers that call changed with the name of a namespace whenever one
// of its objects changes.
func newInformers(c *clients, changed func(namespace string)) *informers {
	named := fields.OneTermEqualSelector(metav1.ObjectNameField, objectName).String()
	return &informers{
		namespaces: newInformer(&corev1.Namespace{}, c.core, compactNamespace, changedNamespace(changed), c.core.Namespaces(), ""),
		limits:     newInformer(&corev1.LimitRange{}, c.core, compactManaged, changedManaged(changed), c.core.LimitRanges(metav1.NamespaceAll), named),
		quotas:     newInformer(&corev1.ResourceQuota{}, c.core, compactManaged, changedManaged(changed), c.core.ResourceQuotas(metav1.NamespaceAll), named),
		bindings:   newInformer(&rbacv1.RoleBinding{}, c.rbac, compactManaged, changedManaged(changed), c.rbac.RoleBindings(metav1.NamespaceAll), named),
	}
}

// lister is a typed client for one resource.
type lister[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func newInformer[L runtime.Object](kind runtime.Object, client any, compact cache.TransformFunc, handler cache.ResourceEventHandler, l lister[L], selector string) informer {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return l.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return l.Watch(ctx, o)
		},
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(lw, client),
		ObjectType:    kind,
		Handler:       handler,
		Transform:     compact,
	})
	return informer{store, controller}
}

// changedNamespace returns a handler that calls changed when a namespace changes.
func changedNamespace(changed func(namespace string)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { changed(object.(*namespace).name) },
		UpdateFunc: func(before, after any) {
			if before.(*namespace).namespaceState != after.(*namespace).namespaceState || before.(*namespace).uid != after.(*namespace).uid {
				changed(after.(*namespace).name)
			}
		},
	}
}

// changedManaged returns a handler that calls changed when a managed object changes. Most
// events of a quota only change its usage, which the controller does not read.
func changedManaged(changed func(namespace string)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { changed(object.(*managed).namespace) },
		UpdateFunc: func(before, after any) {
			if before.(*managed).managedState != after.(*managed).managedState {
				changed(after.(*managed).namespace)
			}
		},
		DeleteFunc: func(object any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				name, _, _ := cache.SplitMetaNamespaceKey(key)
				changed(name)
			}
		},
	}
}

// run fills the caches until ctx ends.
func (i *informers) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, one := range i.all() {
		running.Go(func() { one.RunWithContext(ctx) })
	}
	running.Wait()
}

func (i *informers) all() []informer {
	return []informer{i.namespaces, i.limits, i.quotas, i.bindings}
}

// haveSynced reports whether all caches contain what existed when they were started.
func (i *informers) haveSynced() bool {
	for _, one := range i.all() {
		if !one.HasSynced() {
			return false
		}
	}
	return true
}

// namespace returns a cached namespace, or nil.
func (i *informers) namespace(name string) *namespace {
	found, _, _ := i.namespaces.GetByKey(name)
	n, _ := found.(*namespace)
	return n
}

// managedIn returns the cached object of a namespace, or nil.
func (i informer) managedIn(namespace string) *managed {
	found, _, _ := i.GetByKey(namespace + "/" + objectName)
	m, _ := found.(*managed)
	return m
}
