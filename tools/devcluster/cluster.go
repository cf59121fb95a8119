// Package devcluster brings up a real kind cluster with the webhook installed in
// it, for the Makefile, the demo and the e2e suite alike.
//
// A cluster has a name and a folder of its own in the user's cache folder, with
// its kubeconfig and a kubectl of its version; the user's own kubeconfig and
// current context are never touched. The kubeconfig is there exactly when the
// cluster was created to its end.
package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"

	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// DefaultName is the cluster that the Makefile's targets share.
const DefaultName = "image-webhook"

// Cluster is a kind cluster of this machine, which may or may not be up.
type Cluster struct {
	Name   string
	Engine *engine.Engine

	report   *progress.Reporter
	root     string // folder of this repository's module
	dir      string // the cluster's own folder
	provider *cluster.Provider
	kindLog  *kindLog
}

// OpenOrInstall is Open, but installs a container engine where there is none.
func OpenOrInstall(ctx context.Context, name string, report *progress.Reporter) (*Cluster, error) {
	found, err := engine.Ensure(ctx, report)
	if err != nil {
		return nil, err
	}
	return open(ctx, name, found, report)
}

// Open finds the container engine and returns the cluster called name.
func Open(ctx context.Context, name string, report *progress.Reporter) (*Cluster, error) {
	found, err := engine.Find(ctx)
	if err != nil {
		return nil, err
	}
	return open(ctx, name, found, report)
}

func open(ctx context.Context, name string, found *engine.Engine, report *progress.Reporter) (*Cluster, error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := workspace.Make("cluster", name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: name, Engine: found, report: report, root: root, dir: dir, kindLog: &kindLog{}}
	provider := cluster.ProviderWithPodman()
	if found.Name == "docker" {
		provider = cluster.ProviderWithDocker()
	}
	c.provider = cluster.NewProvider(provider, cluster.ProviderWithLogger(c.kindLog))
	return c, nil
}

// Kubeconfig is the path of the cluster's own kubeconfig file.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// KubectlPath is the path of a kubectl of the cluster's own version.
func (c *Cluster) KubectlPath() string { return filepath.Join(c.dir, "kubectl") }

// logs is where the logs of a cluster that could not be created are kept.
func (c *Cluster) logs() string { return c.dir + ".logs" }

// Kubectl is a kubectl command on the cluster, to be run.
func (c *Cluster) Kubectl(args ...string) subprocess.Command {
	return subprocess.Command{
		Args: append([]string{c.KubectlPath()}, args...),
		Env:  []string{"KUBECONFIG=" + c.Kubeconfig()},
	}
}

// Down deletes the cluster and its folder. A cluster that is not there is fine.
func (c *Cluster) Down(ctx context.Context) error {
	err := c.report.Step("delete cluster "+c.Name, func(*progress.Step) error { return c.delete(ctx) })
	if err != nil {
		return fmt.Errorf("delete cluster %s: %w", c.Name, err)
	}
	return nil
}

func (c *Cluster) delete(ctx context.Context) error {
	if found, err := c.provider.ListNodes(c.Name); err == nil {
		for _, node := range found { // nothing in them is worth the time of stopping well
			_ = c.Engine.Run(ctx, nil, "kill", node.String())
		}
	}
	if err := uninterrupted(ctx, func() error { return c.provider.Delete(c.Name, c.Kubeconfig()) }); err != nil {
		return explainKind(err)
	}
	return errors.Join(os.RemoveAll(c.dir), os.RemoveAll(c.logs()))
}

// CollectLogs writes the logs of the nodes, and of what runs on them, into a folder.
func (c *Cluster) CollectLogs(ctx context.Context, folder string) error {
	return uninterrupted(ctx, func() error { return explainKind(c.provider.CollectLogs(c.Name, folder)) })
}

// listed says whether kind knows nodes of the cluster, alive or dead.
func (c *Cluster) listed() (bool, error) {
	names, err := c.provider.List()
	if err != nil {
		return false, fmt.Errorf("list kind's clusters: %w", explainKind(err))
	}
	return slices.Contains(names, c.Name), nil
}

// alive says whether the cluster was created to its end and its API server
// answers: after the machine was stopped, clusters are listed but dead.
func (c *Cluster) alive(ctx context.Context) bool {
	for _, file := range []string{c.Kubeconfig(), c.KubectlPath()} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	answer, err := c.Kubectl("get", "--raw=/readyz", "--request-timeout=10s").Output(ctx)
	return err == nil && strings.TrimSpace(answer) == "ok"
}

// Config reaches the cluster's API server.
func (c *Cluster) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig of cluster %s: %w", c.Name, err)
	}
	return config, nil
}

// Client speaks with the cluster's API server.
func (c *Cluster) Client() (kubernetes.Interface, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// nodes are the containers that kind runs for the cluster.
func (c *Cluster) nodes() ([]nodes.Node, error) {
	found, err := c.provider.ListInternalNodes(c.Name)
	if err == nil && len(found) == 0 {
		return nil, fmt.Errorf("cluster %s is not there: run `make up` first", c.Name)
	}
	return found, explainKind(err)
}

// uninterrupted runs do, which knows no context, but returns as soon as ctx
// ends: what do leaves half done, the next run replaces.
func uninterrupted(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
