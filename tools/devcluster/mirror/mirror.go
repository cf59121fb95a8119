// Package mirror runs an image registry in a development cluster, which serves the images of
// the example mirrors in the policy file of the manifests. So pods run even if the cluster cannot
// reach another registry.
//
// The program is the CNCF registry, in a Deployment in the namespace Namespace. On each node, a
// hosts.toml file per mirror directs containerd to the registry's Service. The registry has
// sample images of this project. With EnablePullThrough, containerd gets other images from
// the registries that the mirrors replace.
package mirror

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	// Namespace is the namespace of the registries. Its mode is off, so that the mirror can
	// start before the webhook.
	Namespace = "mirror"
	// Name is the name of the mirror's Deployment and Service.
	Name = "mirror"
)

// upstreams are the example mirrors in the policy file of the manifests, and the registries that
// they replace.
var upstreams = []struct {
	host  string // host of the mirror
	cache string // name of the optional pull-through cache
	url   string // registry of the cache
}{
	{"docker.mirror.example", "docker-cache", "https://registry-1.docker.io"},
	{"k8s.mirror.example", "k8s-cache", "https://registry.k8s.io"},
}

// Mirror is the mirror of a cluster. It may not be installed.
type Mirror struct {
	cluster *devcluster.Cluster
	report  *progress.Reporter
	config  *rest.Config
	client  kubernetes.Interface
}

// Open returns the mirror of a running cluster.
func Open(c *devcluster.Cluster, report *progress.Reporter) (*Mirror, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Mirror{cluster: c, report: report, config: config, client: client}, nil
}

// Install starts the mirror, unless it runs, and directs the nodes to it, and to the caches
// if they are installed.
func (m *Mirror) Install(ctx context.Context) error {
	if err := m.Start(ctx, Registry{Name: Name}); err != nil {
		return err
	}
	for _, u := range upstreams {
		if err := m.routeToMirror(ctx, u.host, u.cache); err != nil {
			return err
		}
	}
	return nil
}

// EnablePullThrough starts caches of docker.io and registry.k8s.io for images that the mirror
// does not have. The mirror must be installed.
func (m *Mirror) EnablePullThrough(ctx context.Context) error {
	for _, u := range upstreams {
		if err := m.Start(ctx, Registry{Name: u.cache, Upstream: u.url}); err != nil {
			return err
		}
		if err := m.routeToMirror(ctx, u.host, u.cache); err != nil {
			return err
		}
	}
	return nil
}

// routeToMirror configures the nodes to pull images of host from the mirror, and then from the
// cache if it is installed.
func (m *Mirror) routeToMirror(ctx context.Context, host, cache string) error {
	deployment, err := m.deployment(cache).Get(ctx)
	if err != nil {
		return err
	}
	if deployment == nil {
		return m.RouteHost(ctx, host, Name)
	}
	return m.RouteHost(ctx, host, Name, cache)
}

// RouteHost configures the nodes to pull images of host from the named registries, in this
// order.
func (m *Mirror) RouteHost(ctx context.Context, host string, names ...string) error {
	var urls []string
	for _, name := range names {
		url, err := m.registryURL(ctx, name)
		if err != nil {
			return err
		}
		urls = append(urls, url)
	}
	return m.cluster.WriteFile(ctx, devcluster.RegistryHosts+"/"+host+"/hosts.toml", hostsFile(urls))
}

// hostsFile returns containerd's configuration for a registry host whose images are at urls,
// in this order. containerd uses `server` last. Its default would be the host itself, which
// does not exist.
func hostsFile(urls []string) string {
	last := len(urls) - 1
	content := fmt.Sprintf("server = %q\n", urls[last])
	for _, url := range urls[:last] {
		content += fmt.Sprintf("\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url)
	}
	return content
}
