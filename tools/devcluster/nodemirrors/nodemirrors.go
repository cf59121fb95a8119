// Package nodemirrors lets containerd on the nodes of a development cluster pull images of the
// registries in the policy of the manifests from their mirrors, also those that the webhook does not
// rewrite. It shows the files of package hoststoml on real nodes.
//
// The files name mirrors as the policy does, so the nodes must reach these names with HTTPS. The
// registry Mirror serves them. It is a cache of the mirror in the cluster. The policy has one more rule,
// for a registry that exists only in the cluster, so that the fallback to an origin can be shown: Origin
// is the registry OriginHost.
package nodemirrors

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/webhook/hoststoml"
)

// The names of the registries in the namespace of the mirror, and of the Secret with their certificate.
const (
	mirrorName = "mirror-tls"
	originName = "origin"
	secretName = "node-mirrors"
)

// mirrorHosts are the mirrors in the policy of the manifests, and originHost is the registry that the
// manifests do not know, with its mirror.
var mirrorHosts = []string{"docker.mirror.example", "k8s.mirror.example"}

const (
	originHost   = "origin.example"
	originMirror = "docker.mirror.example/origin"
)

// installer has what the steps need.
type installer struct {
	cluster *devcluster.Cluster
	mirror  *mirror.Mirror
	client  kubernetes.Interface
}

// Install starts the registries and configures the nodes. The mirror must be installed.
func Install(ctx context.Context, c *devcluster.Cluster, m *mirror.Mirror, report *progress.Reporter) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	i := installer{c, m, client}
	certificate, err := i.certificate(ctx)
	if err != nil {
		return err
	}
	for _, r := range []mirror.Registry{
		{Name: mirrorName, TLS: secretName, Upstream: "http://" + mirror.Name + ":5000"},
		{Name: originName, TLS: secretName},
	} {
		if err := m.Start(ctx, r); err != nil {
			return err
		}
	}
	return report.Step("let the nodes use the mirrors", func(*progress.Step) error { return i.configureNodes(ctx, certificate) })
}

// configureNodes lets the nodes find and trust the registries, and then use them.
func (i installer) configureNodes(ctx context.Context, certificate string) error {
	policy, err := readPolicy()
	if err != nil {
		return err
	}
	files, err := hoststoml.Files(policy.mirrors, policy.version)
	if err != nil {
		return err
	}
	addresses, err := i.addresses(ctx)
	if err != nil {
		return err
	}
	if err := i.cluster.RunOnNodes(ctx, "sh", "-c", nameScript, "names", addresses); err != nil {
		return err
	}
	if err := i.cluster.RunOnNodes(ctx, "sh", "-c", trustScript, "trust", certificate); err != nil {
		return err
	}
	for _, file := range files {
		if err := i.cluster.WriteFile(ctx, devcluster.RegistryHosts+"/"+file.Path(), file.Content); err != nil {
			return err
		}
	}
	return nil
}

// nameScript replaces the lines of an earlier run in /etc/hosts by $1. The file is mounted, so it
// cannot be renamed.
const nameScript = `
others=$(grep -v '# node mirrors$' /etc/hosts)
printf '%s\n%s' "$others" "$1" >/etc/hosts`

// trustScript adds the certificate $1 to those that programs trust. containerd reads them when it
// starts.
const trustScript = `
file=/etc/ssl/certs/image-webhook-node-mirrors.pem
printf '%s' "$1" | cmp -s - "$file" && exit 0
printf '%s' "$1" >"$file"
systemctl restart containerd`

// addresses returns the lines of /etc/hosts for the registries.
func (i installer) addresses(ctx context.Context) (string, error) {
	var lines strings.Builder
	for name, hosts := range map[string]string{mirrorName: strings.Join(mirrorHosts, " "), originName: originHost} {
		service, err := i.client.CoreV1().Services(mirror.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("get the Service of the registry %s: %w", name, err)
		}
		fmt.Fprintf(&lines, "%s %s # node mirrors\n", service.Spec.ClusterIP, hosts)
	}
	return lines.String(), nil
}
