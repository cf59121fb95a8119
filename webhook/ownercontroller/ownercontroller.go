// Package ownercontroller makes a namespace with an owner usable. For each namespace that
// names an owner (package owner), it creates in this order
//
//  1. a LimitRange and a ResourceQuota from a template, and waits until the quota is in force,
//  2. a RoleBinding that gives the owner a ClusterRole,
//  3. the label and the condition that say that the namespace is ready, in one write.
//
// It is level-based: it compares the objects in its caches with what they should be, and
// changes only the difference, so it can be stopped at any point, and two leaders do no harm.
// All objects have the same fixed name. When the owner changes, it replaces the RoleBinding
// first. It restores what was changed or deleted. It ignores namespaces that are being
// deleted, and namespaces without an owner, except that it takes back what it gave to a former
// owner.
//
// It trusts the owner that a namespace names: policies in the API server guard that name, and
// confine the controller itself. It must never write anything in a namespace without an owner
// except to delete its RoleBinding. The package does not know the webhook.
package ownercontroller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

const (
	// objectName is the name of all objects of the controller: those in the namespaces of
	// users, its Lease, and the ConfigMap with its template.
	objectName = "namespace-owner"
	// ownNamespace is the namespace of the controller.
	ownNamespace = "image-webhook"
	// workers is the number of namespaces that are processed at the same time.
	workers = 8
)

// Options configure a controller.
type Options struct {
	Config      *rest.Config
	ClusterRole string // the role that an owner gets in the namespace
	TemplateDir string // directory with the files of the template; read again when they change
	Identity    string // of this replica, for the election
	Log         *slog.Logger
}

// Controller makes namespaces usable. Run runs it.
type Controller struct {
	Options
	clients   *clients
	templates *templateFiles
	informers *informers
	queue     workqueue.TypedRateLimitingInterface[string]
	events    record.EventRecorder
	roles     roleChecker
	// leading is the context of the work while this replica leads; it ends with that.
	leading atomic.Pointer[context.Context]
}

// New returns a controller. It does not connect to the API server yet.
func New(o Options) (*Controller, error) {
	clients, err := newClients(o.Config)
	if err != nil {
		return nil, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	c := &Controller{
		Options:   o,
		clients:   clients,
		templates: &templateFiles{dir: o.TemplateDir},
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, time.Minute)),
		roles:     roleChecker{roles: clients.rbac.ClusterRoles()},
	}
	c.informers = newInformers(clients, func(namespace string) { c.queue.Add(namespace) })
	return c, nil
}

// Run runs the controller until ctx ends. Only the leader of all replicas changes objects; the
// others keep their caches up to date.
func (c *Controller) Run(ctx context.Context) error {
	stopEvents := c.startEvents()
	defer stopEvents()
	var running sync.WaitGroup
	defer running.Wait()
	defer c.queue.ShutDown()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { c.templates.watch(ctx, c.templateChanged, c.templateFailed) })
	running.Go(func() { c.informers.run(ctx) })
	for range workers {
		running.Go(c.work)
	}
	return c.lead(ctx)
}

// Ready returns an error while the controller cannot do its work.
func (c *Controller) Ready() error {
	if !c.informers.haveSynced() {
		return errors.New("the caches are not filled: the API server does not answer")
	}
	if err := c.templates.lastError(); err != nil {
		return fmt.Errorf("the template is invalid: %w", err)
	}
	return nil
}

// templateChanged processes all namespaces again.
func (c *Controller) templateChanged() {
	c.Log.Info("loaded the template", "dir", c.TemplateDir)
	c.addAll()
}

func (c *Controller) addAll() {
	for _, name := range c.informers.namespaces.ListKeys() {
		c.queue.Add(name)
	}
}

// templateFailed reports an invalid template, and what is in force instead.
func (c *Controller) templateFailed(err error) {
	effect := "the last valid template stays in force"
	if _, err := c.templates.current(); err != nil {
		effect = "no namespace becomes ready until it is valid"
	}
	c.Log.Error("refused the template", "reason", err, "effect", effect)
	configMap := &corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: ownNamespace, Name: objectName}
	c.events.Eventf(configMap, corev1.EventTypeWarning, "InvalidTemplate", "%s; %s", err, effect)
}

// startLeading makes the workers process namespaces until ctx ends, beginning with all of them.
func (c *Controller) startLeading(ctx context.Context) {
	if !c.waitForCaches(ctx) {
		return
	}
	c.Log.Info("leading", "identity", c.Identity)
	c.leading.Store(&ctx)
	c.addAll()
}

// work processes namespaces until the queue is shut down. A replica that does not lead drops
// them.
func (c *Controller) work() {
	for {
		name, shutDown := c.queue.Get()
		if shutDown {
			return
		}
		if ctx := c.leading.Load(); ctx != nil && (*ctx).Err() == nil {
			c.finish(*ctx, name, c.reconcile(*ctx, name))
		} else {
			c.queue.Forget(name)
		}
		c.queue.Done(name)
	}
}

// finish plans when a namespace is processed again, and reports an error.
func (c *Controller) finish(ctx context.Context, name string, err error) {
	var waiting *waitError
	switch {
	case err == nil:
		c.queue.Forget(name)
	case errors.As(err, &waiting):
		c.queue.Forget(name)
		c.queue.AddAfter(name, waiting.after)
	case ctx.Err() == nil:
		c.report(ctx, name, err)
		c.queue.AddRateLimited(name)
	}
}
