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

// Registry is a registry in the namespace of the mirror.
type Registry struct {
	Name     string // name of its Deployment and Service
	Upstream string // if set, the registry is a cache of this registry and accepts no pushes
	Htpasswd string // its users, in the format of htpasswd -B; empty: no password is needed
	TLS      string // a Secret of the type kubernetes.io/tls; empty: the registry uses HTTP
}

// tlsPort is the port of the Service of a registry that uses TLS.
const tlsPort = 443

//go:embed namespace.yaml
var namespaceManifest string

//go:embed registry.yaml
var registryManifest string

// manifest returns the objects of r, which runs the image ref.
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

// Start runs r and returns when the nodes can use it. It replaces an existing registry, with
// its images, if that runs another program or does not become ready.
func (m *Mirror) Start(ctx context.Context, r Registry) error {
	ref, root, err := registryRef(ctx)
	if err != nil {
		return err
	}
	existing, err := m.deployment(r.Name).Get(ctx)
	if err != nil {
		return err
	}
	if existing != nil && existing.Spec.Template.Spec.Containers[0].Image == ref {
		if m.report.Step("start "+r.title(), func(step *progress.Step) error { return m.start(ctx, r, ref, step) }) == nil {
			return nil
		}
	}
	if err := m.loadRegistry(ctx, root, ref); err != nil {
		return err
	}
	return m.report.Step("start "+r.title(), func(step *progress.Step) error {
		// Wait until its pods are deleted, so that WaitReady sees only new ones.
		if err := m.deleteObjects(ctx, []string{r.Name}, "deployment", "--cascade=foreground"); err != nil {
			return err
		}
		if err := m.start(ctx, r, ref, step); err != nil {
			return m.explainFailure(ctx, r, err)
		}
		return nil
	})
}

// title returns the registry's name for messages.
func (r Registry) title() string {
	if r.Upstream != "" {
		return "the cache of " + r.Upstream
	}
	return "the registry " + r.Name
}

func (m *Mirror) start(ctx context.Context, r Registry, ref string, step *progress.Step) error {
	manifest, err := r.manifest(ref)
	if err != nil {
		return fmt.Errorf("render the manifest: %w", err)
	}
	apply := m.cluster.Kubectl("apply", "-f", "-")
	apply.Stdin = strings.NewReader(manifest)
	if err := apply.Run(ctx); err != nil {
		return fmt.Errorf("apply the manifest: %w", err)
	}
	if err := m.deployment(r.Name).WaitReady(ctx, step); err != nil {
		return err
	}
	return m.waitReachable(ctx, r.Name, step)
}

// explainFailure returns an error that says what to do if a registry does not start. It removes
// a cache that does not start.
func (m *Mirror) explainFailure(ctx context.Context, r Registry, cause error) error {
	if ctx.Err() != nil { // the next run replaces the registry
		return cause
	}
	if r.Upstream == "" {
		return fmt.Errorf("start %s: %w: run `kubectl describe pod -n %s` for details", r.title(), cause, Namespace)
	}
	cause = fmt.Errorf("start %s: %w: do not enable pull-through if the cluster cannot reach %s", r.title(), cause, r.Upstream)
	if err := m.Remove(ctx, r.Name); err != nil {
		return fmt.Errorf("%w; its removal failed too: %w", cause, err)
	}
	return cause
}

// Remove deletes the named registries. It ignores registries that do not exist.
func (m *Mirror) Remove(ctx context.Context, names ...string) error {
	return m.deleteObjects(ctx, names, "deployment,service,secret", "--cascade=background")
}

func (m *Mirror) deleteObjects(ctx context.Context, names []string, kinds, cascade string) error {
	err := m.cluster.Kubectl("delete", kinds, "-n", Namespace, cascade, "--ignore-not-found", "--timeout=60s",
		"-l", "app.kubernetes.io/instance in ("+strings.Join(names, ",")+")").Run(ctx)
	if err != nil {
		return fmt.Errorf("delete the registry %s: %w", strings.Join(names, ", "), err)
	}
	return nil
}

// registryURL returns the URL of the named registry for the nodes. It contains the cluster IP
// of the Service, because nodes cannot resolve Service names.
func (m *Mirror) registryURL(ctx context.Context, name string) (string, error) {
	service, err := m.client.CoreV1().Services(Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("get the Service of the registry %s: %w", name, err)
	}
	scheme, port := "http", service.Spec.Ports[0].Port
	if port == tlsPort {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s:%d", scheme, service.Spec.ClusterIP, port), nil
}
