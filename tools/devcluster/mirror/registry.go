package mirror

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// Registry is one registry in the namespace of the mirror.
type Registry struct {
	Name     string // of its Deployment and Service
	Upstream string // the registry whose images it hands out and keeps; empty: it is pushed to
	Htpasswd string // who may use it, as htpasswd's -B writes it; empty: everybody
}

//go:embed namespace.yaml
var namespaceManifest string

//go:embed registry.yaml
var registryManifest string

// manifest renders the objects of r, which runs the image ref.
func (r Registry) manifest(ref string) (string, error) {
	parsed, err := template.New("registry.yaml").Option("missingkey=error").Parse(registryManifest)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(namespaceManifest + "---\n")
	err = parsed.Execute(&out, struct {
		Registry
		Image string
	}{r, ref})
	return out.String(), err
}

// Start runs r, and returns when the nodes can use it. One that cannot be brought
// to run as it is, is made anew: what it held goes with it.
func (m *Mirror) Start(ctx context.Context, r Registry) error {
	ref, root, err := registryRef(ctx)
	if err != nil {
		return err
	}
	there, err := m.deployment(ctx, r.Name)
	if err != nil {
		return err
	}
	if there != nil && there.Spec.Template.Spec.Containers[0].Image == ref {
		if m.report.Step("start "+r.describe(), func(step *progress.Step) error { return m.start(ctx, r, ref, step) }) == nil {
			return nil
		}
	}
	if err := m.loadRegistry(ctx, root, ref); err != nil {
		return err
	}
	return m.report.Step("start "+r.describe(), func(step *progress.Step) error {
		// With its pods, so that none is taken for one of this start.
		if err := m.remove(ctx, []string{r.Name}, "deployment", "--cascade=foreground"); err != nil {
			return err
		}
		if err := m.start(ctx, r, ref, step); err != nil {
			return m.explain(ctx, r, err)
		}
		return nil
	})
}

func (r Registry) describe() string {
	if r.Upstream != "" {
		return "the cache of " + r.Upstream
	}
	return "the registry " + r.Name
}

func (m *Mirror) start(ctx context.Context, r Registry, ref string, step *progress.Step) error {
	manifest, err := r.manifest(ref)
	if err != nil {
		return fmt.Errorf("render the manifest of %s: %w", r.describe(), err)
	}
	apply := m.cluster.Kubectl("apply", "-f", "-")
	apply.Stdin = strings.NewReader(manifest)
	if err := apply.Run(ctx); err != nil {
		return fmt.Errorf("apply %s: %w", r.describe(), err)
	}
	if err := m.waitReady(ctx, r.Name, step); err != nil {
		return err
	}
	return m.waitReached(ctx, r.Name, step)
}

// explain adds the remedy to the cause that a registry does not start. A cache
// that can reach nothing is taken away again.
func (m *Mirror) explain(ctx context.Context, r Registry, cause error) error {
	if ctx.Err() != nil { // interrupted: the next run makes it anew
		return cause
	}
	if r.Upstream == "" {
		return fmt.Errorf("%s is not ready: %w; `kubectl describe pod -n %s` says more", r.describe(), cause, Namespace)
	}
	cause = fmt.Errorf("%s is not ready: %w; leave the pull-through out where the cluster does not reach %s", r.describe(), cause, r.Upstream)
	if err := m.Remove(ctx, r.Name); err != nil {
		return fmt.Errorf("%w; and %w", cause, err)
	}
	return cause
}

// Remove deletes the registries called names. That they are not there is fine.
func (m *Mirror) Remove(ctx context.Context, names ...string) error {
	return m.remove(ctx, names, "deployment,service,secret", "--cascade=background")
}

func (m *Mirror) remove(ctx context.Context, names []string, kinds, cascade string) error {
	err := m.cluster.Kubectl("delete", kinds, "-n", Namespace, cascade, "--ignore-not-found", "--timeout=60s",
		"-l", "app.kubernetes.io/instance in ("+strings.Join(names, ",")+")").Run(ctx)
	if err != nil {
		return fmt.Errorf("remove the registry %s: %w", strings.Join(names, ", "), err)
	}
	return nil
}

// url is where the nodes reach the registry called name: the address of its
// Service, which needs no name and no port of the nodes' own.
func (m *Mirror) url(ctx context.Context, name string) (string, error) {
	service, err := m.client.CoreV1().Services(Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("find the registry %s: %w", name, err)
	}
	return fmt.Sprintf("http://%s:%d", service.Spec.ClusterIP, service.Spec.Ports[0].Port), nil
}
