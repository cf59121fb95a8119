// Package monitoring runs Prometheus in a development cluster. It scrapes the webhook and the API
// servers every few seconds, and evaluates the rules of deploy/monitoring.
//
// Prometheus is a Deployment with one pod in the namespace Namespace. It loses its samples when the
// pod ends. It has no web interface: Path leads to its HTTP API. The webhook does not depend on it.
package monitoring

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/singlepod"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	// Namespace is the namespace of Prometheus. Its mode is off, so that Prometheus can start
	// before the webhook.
	Namespace = "monitoring"
	// Name is the name of the Deployment and of the Service, whose port is 9090.
	Name = "prometheus"
	// Path is the path of the HTTP API of Prometheus on the API server.
	Path = "/api/v1/namespaces/" + Namespace + "/services/" + Name + ":9090/proxy/api/v1"
)

// Monitoring is the Prometheus of a cluster. It may not be installed.
type Monitoring struct {
	cluster    *devcluster.Cluster
	report     *progress.Reporter
	deployment singlepod.Deployment
}

// Open returns the Prometheus of a running cluster.
func Open(c *devcluster.Cluster, report *progress.Reporter) (*Monitoring, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	return &Monitoring{cluster: c, report: report, deployment: deployment(client)}, nil
}

func deployment(client kubernetes.Interface) singlepod.Deployment {
	return singlepod.Deployment{Client: client, Namespace: Namespace, Name: Name}
}

// IsInstalled reports whether Prometheus is installed in the cluster of client.
func IsInstalled(ctx context.Context, client kubernetes.Interface) (bool, error) {
	found, err := deployment(client).Get(ctx)
	return found != nil, err
}

// Install starts Prometheus, unless it runs, and returns when it is ready. It replaces a running
// one if its version, its configuration or its rules have changed.
func (m *Monitoring) Install(ctx context.Context) error {
	root, ref, err := imageRef(ctx)
	if err != nil {
		return err
	}
	if !m.cluster.HasImage(ctx, ref) {
		if err := m.loadImage(ctx, root, ref); err != nil {
			return err
		}
	}
	err = m.report.Step("start Prometheus", func(step *progress.Step) error { return m.start(ctx, ref, step) })
	if err != nil {
		return fmt.Errorf("start Prometheus: %w: run `kubectl describe pod -n %s` for details", err, Namespace)
	}
	return nil
}

func (m *Monitoring) start(ctx context.Context, ref string, step *progress.Step) error {
	manifest, err := renderManifest(ref)
	if err != nil {
		return fmt.Errorf("render the manifest: %w", err)
	}
	apply := m.cluster.Kubectl("apply", "-f", "-")
	apply.Stdin = strings.NewReader(manifest)
	if err := apply.Run(ctx); err != nil {
		return fmt.Errorf("apply the manifest: %w", err)
	}
	return m.deployment.WaitReady(ctx, step)
}
