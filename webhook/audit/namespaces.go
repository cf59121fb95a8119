package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/image-webhook/image-webhook/webhook/status"
)

const namespacesPath = "/api/v1/namespaces"

// readNamespaces reads the labels of all namespaces, or of the only one to audit.
func (c *collector) readNamespaces(ctx context.Context, r *reader, only string) error {
	if only != "" {
		return c.readNamespace(ctx, r, only)
	}
	err := r.list(ctx, namespacesPath, func(i *item) { c.addNamespace(strings.Clone(i.object.Metadata.Name), i.labels()) }, func() {})
	if err != nil {
		return fmt.Errorf("cannot list namespaces: %w: use --namespace to audit one that you may read", err)
	}
	return nil
}

func (c *collector) readNamespace(ctx context.Context, r *reader, name string) error {
	i, err := r.get(ctx, namespacesPath+"/"+name)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("namespace %q does not exist: use another --namespace", name)
	case apierrors.IsForbidden(err):
		c.addGap(name, "its mode", err)
		c.addNamespace(name, nil)
		c.namespaces[name].Mode = modeUnknown
	case err != nil:
		return fmt.Errorf("cannot read namespace %q: %w", name, err)
	default:
		c.addNamespace(name, i.labels())
	}
	return nil
}

// modeUnknown is the mode of a namespace whose labels cannot be read.
const modeUnknown = "unknown"

func (c *collector) addNamespace(name string, labels map[string]string) {
	scope := c.Scope(name, labels)
	c.namespaces[name] = &Namespace{Name: name, Mode: scope.Mode, mirrors: scope.Mirrors}
}

// namespace returns the namespace of an item. One that was created after they were read has no labels.
func (c *collector) namespace(i *item) *Namespace {
	if c.namespaces[i.namespace] == nil {
		c.addNamespace(strings.Clone(i.namespace), nil)
	}
	return c.namespaces[i.namespace]
}

// readKind reads the objects of a kind. If the user must not list them in all namespaces at once, it lists
// them in each.
func (c *collector) readKind(ctx context.Context, r *reader, k kind, only string) {
	err := c.list(ctx, r, k, only)
	if err == nil {
		return
	}
	if only != "" || !apierrors.IsForbidden(err) {
		c.addGap(only, k.resource, err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.namespaces)) {
		if c.namespaces[name].Mode == status.ModeExcluded {
			continue
		}
		if err := c.list(ctx, r, k, name); err != nil && ctx.Err() == nil {
			c.addGap(name, k.resource, err)
		}
	}
}

func (c *collector) list(ctx context.Context, r *reader, k kind, namespace string) error {
	return r.list(ctx, k.path(namespace), func(i *item) { c.add(k, i) }, func() {
		if k == pods && c.Progress != nil {
			c.Progress(c.podsRead)
		}
	})
}

// gap is what could not be read in a namespace.
type gap struct {
	parts []string
	err   error // of the first part
}

// addGap adds a part that could not be read. All parts of a namespace are one problem.
func (c *collector) addGap(namespace, part string, err error) {
	if c.gaps[namespace] == nil {
		c.gaps[namespace] = &gap{err: err}
	}
	c.gaps[namespace].parts = append(c.gaps[namespace].parts, part)
}

// message returns <what failed>: <cause>: <what to do>.
func (g *gap) message() string {
	parts, remedy := strings.Join(g.parts, ", "), "run the command again"
	if len(g.parts) >= len(kinds) {
		parts = "pods and workloads"
	}
	if apierrors.IsForbidden(g.err) {
		remedy = "get the rights of the ClusterRole view there"
	}
	return fmt.Sprintf("cannot read %s: %v: %s", parts, g.err, remedy)
}
