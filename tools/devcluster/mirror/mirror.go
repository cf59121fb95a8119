// Package mirror puts a real registry into a dev cluster, behind the names that
// the manifests' examples give their mirrors, so that the nodes really pull what
// the webhook sends there, where no other registry can be reached.
//
// The registry is the CNCF's, run as a Deployment in the namespace Namespace. A
// node's containerd is told by a hosts.toml for each name of a mirror that the
// registry's Service is where to ask. It holds sample images of this project;
// with PullThrough, what it does not hold comes from the registries that
// the mirrors stand for.
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
	// Namespace is where the registries run. The webhook is not asked about its
	// pods: a mirror has to start whether or not the webhook is there.
	Namespace = "mirror"
	// Name is the mirror's own Deployment and Service.
	Name = "mirror"
)

// upstreams are the mirrors of the manifests' example flags, and what each
// stands for.
var upstreams = []struct {
	host  string // the mirror's
	cache string // name of the cache that may stand behind it
	url   string // the registry that the cache asks
}{
	{"docker.mirror.example", "docker-cache", "https://registry-1.docker.io"},
	{"k8s.mirror.example", "k8s-cache", "https://registry.k8s.io"},
}

// Mirror is the mirror of a cluster, which may or may not be there.
type Mirror struct {
	cluster *devcluster.Cluster
	report  *progress.Reporter
	config  *rest.Config
	client  kubernetes.Interface
}

// Open returns the mirror of a cluster that is up.
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

// Install brings the mirror up, and leads the nodes to it, and to the caches behind
// it if they are there. What runs is left as it is.
func (m *Mirror) Install(ctx context.Context) error {
	if err := m.Start(ctx, Registry{Name: Name}); err != nil {
		return err
	}
	for _, u := range upstreams {
		if err := m.leadToMirror(ctx, u.host, u.cache); err != nil {
			return err
		}
	}
	return nil
}

// PullThrough puts caches behind an installed mirror: they ask docker.io and
// registry.k8s.io for what it does not hold. A cluster that has them keeps them.
func (m *Mirror) PullThrough(ctx context.Context) error {
	for _, u := range upstreams {
		if err := m.Start(ctx, Registry{Name: u.cache, Upstream: u.url}); err != nil {
			return err
		}
		if err := m.leadToMirror(ctx, u.host, u.cache); err != nil {
			return err
		}
	}
	return nil
}

// leadToMirror has the nodes ask the mirror for the images of host, and then the
// cache if it is there.
func (m *Mirror) leadToMirror(ctx context.Context, host, cache string) error {
	there, err := m.deployment(ctx, cache)
	if err != nil {
		return err
	}
	if there == nil {
		return m.Lead(ctx, host, Name)
	}
	return m.Lead(ctx, host, Name, cache)
}

// Lead has the nodes ask the registries called names, in this order, for the
// images of host.
func (m *Mirror) Lead(ctx context.Context, host string, names ...string) error {
	var urls []string
	for _, name := range names {
		url, err := m.url(ctx, name)
		if err != nil {
			return err
		}
		urls = append(urls, url)
	}
	return m.cluster.WriteFile(ctx, devcluster.RegistryHosts+"/"+host+"/hosts.toml", hostsFile(urls))
}

// hostsFile is containerd's configuration for a registry that is found at urls,
// the first first. `server` is the last that containerd asks; left out, it would
// be the registry's own name, which leads nowhere.
func hostsFile(urls []string) string {
	last := len(urls) - 1
	content := fmt.Sprintf("server = %q\n", urls[last])
	for _, url := range urls[:last] {
		content += fmt.Sprintf("\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url)
	}
	return content
}
