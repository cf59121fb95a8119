// Package devcluster creates a kind cluster and installs the webhook in it, for the Makefile,
// the demos and the e2e suite.
//
// A cluster has a name, and a directory in the user's cache with its kubeconfig and a kubectl
// of its version. The kubeconfig exists only if the cluster was created completely. The
// package never changes the user's own kubeconfig.
package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
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

// DefaultName is the name of the cluster that the Makefile's targets use.
const DefaultName = "image-webhook"

// Cluster is a kind cluster on this machine. It may not exist.
type Cluster struct {
	Name   string
	Engine *engine.Engine

	report   *progress.Reporter
	root     string // top of the checkout
	dir      string // the cluster's directory
	static   bool   // the API server reads policies from files
	provider *cluster.Provider
	kindLog  *kindLog
}

// Open returns the cluster called name, with the container engine with which it was created.
// If it does not exist, Open finds an engine, which takes seconds.
func Open(ctx context.Context, name string, report *progress.Reporter) (*Cluster, error) {
	return open(ctx, name, report, engine.Find)
}

// OpenOrInstall is like Open, but installs a container engine if there is none.
func OpenOrInstall(ctx context.Context, name string, report *progress.Reporter) (*Cluster, error) {
	return open(ctx, name, report, func(ctx context.Context) (*engine.Engine, error) { return engine.Ensure(ctx, report) })
}

func open(ctx context.Context, name string, report *progress.Reporter, find func(context.Context) (*engine.Engine, error)) (*Cluster, error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := workspace.CacheDir("cluster", name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: name, report: report, root: root, dir: dir, kindLog: &kindLog{}}
	if c.Engine, err = engine.FromFile(c.engineFile()); err != nil || c.Engine == nil {
		c.Engine, err = find(ctx)
	}
	if err != nil {
		return nil, err
	}
	provider := cluster.ProviderWithPodman()
	if c.Engine.Name == engine.Docker {
		provider = cluster.ProviderWithDocker()
	}
	c.provider = cluster.NewProvider(provider, cluster.ProviderWithLogger(c.kindLog))
	return c, nil
}

// WithReporter returns the same cluster with another reporter.
func (c *Cluster) WithReporter(report *progress.Reporter) *Cluster {
	copied := *c
	copied.report = report
	return &copied
}

// engineFile returns the path of the file that names the cluster's container engine.
func (c *Cluster) engineFile() string { return filepath.Join(c.dir, "engine") }

func (c *Cluster) writeEngineFile() error {
	return renameio.WriteFile(c.engineFile(), []byte(c.Engine.Name), 0o644)
}

// Kubeconfig returns the path of the cluster's kubeconfig file.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// KubectlPath returns the path of a kubectl of the cluster's version.
func (c *Cluster) KubectlPath() string { return filepath.Join(c.dir, "kubectl") }

// failureLogs returns the directory for the logs of a cluster that could not be created.
func (c *Cluster) failureLogs() string { return c.dir + ".logs" }

// Kubectl returns a kubectl command for the cluster.
func (c *Cluster) Kubectl(args ...string) subprocess.Command {
	return subprocess.Command{
		Args: append([]string{c.KubectlPath()}, args...),
		Env:  []string{"KUBECONFIG=" + c.Kubeconfig()},
	}
}

// Down deletes the cluster and its directory. It is not an error if the cluster does not
// exist.
func (c *Cluster) Down(ctx context.Context) error {
	err := c.report.Step("delete cluster "+c.Name, func(*progress.Step) error { return c.delete(ctx) })
	if err != nil {
		return fmt.Errorf("delete cluster %s: %w", c.Name, err)
	}
	return nil
}

func (c *Cluster) delete(ctx context.Context) error {
	if found, err := c.provider.ListNodes(c.Name); err == nil {
		for _, node := range found { // faster than a graceful stop
			_ = c.Engine.Run(ctx, nil, "kill", node.String())
		}
	}
	if err := untilDone(ctx, func() error { return c.provider.Delete(c.Name, c.Kubeconfig()) }); err != nil {
		return explainKind(err)
	}
	return errors.Join(os.RemoveAll(c.dir), os.RemoveAll(c.failureLogs()))
}

// CollectLogs writes the logs of the nodes and their pods to a directory.
func (c *Cluster) CollectLogs(ctx context.Context, dir string) error {
	return untilDone(ctx, func() error { return explainKind(c.provider.CollectLogs(c.Name, dir)) })
}

// isListed reports whether kind lists running or stopped nodes of the cluster.
func (c *Cluster) isListed() (bool, error) {
	names, err := c.provider.List()
	if err != nil {
		return false, fmt.Errorf("list kind's clusters: %w", explainKind(err))
	}
	return slices.Contains(names, c.Name), nil
}

// isReady reports whether the cluster was created completely and its API server answers. kind
// also lists clusters whose nodes do not run, for example after a restart of the machine.
func (c *Cluster) isReady(ctx context.Context) bool {
	for _, file := range []string{c.Kubeconfig(), c.KubectlPath()} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	answer, err := c.Kubectl("get", "--raw=/readyz", "--request-timeout=10s").Output(ctx)
	return err == nil && strings.TrimSpace(answer) == "ok"
}

// Config returns the client configuration for the cluster's API server.
func (c *Cluster) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig of cluster %s: %w", c.Name, err)
	}
	return config, nil
}

// Client returns a client of the cluster's API server.
func (c *Cluster) Client() (kubernetes.Interface, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// nodes returns the cluster's nodes, or an error if there are none.
func (c *Cluster) nodes() ([]nodes.Node, error) {
	found, err := c.provider.ListInternalNodes(c.Name)
	if err == nil && len(found) == 0 {
		return nil, fmt.Errorf("list the nodes of cluster %s: the cluster does not exist: run `make up` first", c.Name)
	}
	return found, explainKind(err)
}

// untilDone runs task, which takes no context, and returns when task or ctx ends. If ctx ends
// first, task continues in the background, and the next run replaces its incomplete result.
func untilDone(ctx context.Context, task func() error) error {
	done := make(chan error, 1)
	go func() { done <- task() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
