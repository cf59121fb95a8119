package devcluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/mod/semver"
	"sigs.k8s.io/kind/pkg/cluster"

	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// readyLimit is how long a new node may take to become Ready.
const readyLimit = 3 * time.Minute

// Up creates the cluster, unless it is ready, and reports whether it did. It replaces a
// cluster in the state Dead.
func (c *Cluster) Up(ctx context.Context) (created bool, err error) {
	requested, err := requestedNodes()
	if err != nil {
		return false, err
	}
	hybrid, err := c.Hybrid()
	if err != nil {
		return false, err
	}
	defer func() {
		if err == nil {
			err = c.recordForm(hybrid)
		}
	}()
	state, err := c.State(ctx)
	if err != nil {
		return false, err
	}
	if state == Ready {
		return false, c.checkRunning(requested)
	}
	image, err := c.nodeImage(ctx)
	if err != nil {
		return false, err
	}
	if state == Dead {
		c.report.Note("Cluster %s exists but does not answer, or was not created completely. Replacing it.", c.Name)
		if err := c.Down(ctx); err != nil {
			return false, err
		}
	}
	return true, c.create(ctx, image, max(requested, 1))
}

// checkRunning returns an error if the cluster has another version than K8S requests, or another
// number of nodes than requested. It accepts any version if KIND_NODE_IMAGE is set.
func (c *Cluster) checkRunning(requested int) error {
	running, err := c.release()
	if err != nil {
		return err
	}
	found, err := c.nodes()
	if err != nil {
		return err
	}
	if err := c.checkNodes(len(found), requested); err != nil {
		return err
	}
	if err := c.checkStatic(); err != nil {
		return err
	}
	if os.Getenv("KIND_NODE_IMAGE") == "" {
		version, err := kubebuild.FindFromEnvironment(c.root)
		if err != nil {
			return err
		}
		if err := c.checkRelease(running, version.Minor); err != nil {
			return err
		}
	}
	c.report.Note("✓ cluster %s is already running with Kubernetes %s", c.Name, running)
	return nil
}

// checkRelease returns an error unless running is a release of minor.
func (c *Cluster) checkRelease(running, minor string) error {
	if semver.MajorMinor(running) == "v"+minor {
		return nil
	}
	return fmt.Errorf("use cluster %s with Kubernetes %s: it runs Kubernetes %s: delete it with `bin/cluster down --name=%s`, "+
		"or set K8S or KIND_NODE_IMAGE as when it was created", c.Name, minor, running, c.Name)
}

// release returns the version of the API server, such as v1.37.1.
func (c *Cluster) release() (string, error) {
	client, err := c.Client()
	if err != nil {
		return "", err
	}
	running, err := client.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("get the version of cluster %s: %w", c.Name, err)
	}
	return running.GitVersion, nil
}

// create creates the cluster and writes its kubectl. On failure it saves the nodes' logs.
func (c *Cluster) create(ctx context.Context, image string, nodeCount int) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	_ = os.Remove(c.Kubeconfig()) // kind would merge the cluster into an old file
	if err := c.writeEngineFile(); err != nil {
		return err
	}
	if err := c.writeStaticFiles(); err != nil {
		return err
	}
	c.report.Note("Node image: %s", image)
	err := c.report.Step("create cluster "+c.Name, func(step *progress.Step) error {
		c.kindLog.setOutput(step)
		defer c.kindLog.setOutput(nil)
		return untilDone(ctx, func() error {
			return c.provider.Create(c.Name,
				cluster.CreateWithRawConfig([]byte(kindConfig(nodeCount, engine.CgroupV1(), c.staticFiles()))),
				cluster.CreateWithNodeImage(image),
				cluster.CreateWithKubeconfigPath(c.Kubeconfig()),
				cluster.CreateWithWaitForReady(readyLimit),
				cluster.CreateWithRetain(true), // so that cleanUp can read the logs
			)
		})
	})
	if err != nil {
		return fmt.Errorf("create cluster %s: %w", c.Name, c.cleanUp(ctx, explainKind(err)))
	}
	if nodeCount > 1 {
		if err := c.joinNodes(ctx, nodeCount); err != nil {
			return fmt.Errorf("connect the nodes of cluster %s: %w", c.Name, err)
		}
	}
	return c.copyKubectl(ctx) // last: a cluster without it is incomplete
}

// cleanUp saves the logs of a cluster that could not be created, deletes the cluster, and
// returns cause. After an interrupt it does nothing: the next run replaces the cluster.
func (c *Cluster) cleanUp(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	if found, err := c.provider.ListNodes(c.Name); err != nil || len(found) == 0 {
		return cause
	}
	_ = os.RemoveAll(c.failureLogs())
	if err := c.provider.CollectLogs(c.Name, c.failureLogs()); err == nil {
		c.report.Note("The logs of the nodes are in %s.", c.failureLogs())
	}
	_ = c.provider.Delete(c.Name, c.Kubeconfig())
	return cause
}

// kindConfig returns the configuration of a cluster with one control-plane node, and workers.
//
// etcd does not wait for the disk, because a development cluster need not survive a crash. The
// control-plane node has no taint, so that two nodes are enough for two replicas; kind itself
// removes the taint only from a single node.
//
// The API server has the admission plugin that docs/operations.md recommends, and kubeadm's. It reads
// policies from the directory staticFiles, unless that is empty.
//
// The patches name no version of kubeadm's API, so kind applies them to each version: up to
// Kubernetes 1.35, arguments are a map, and then a list.
func kindConfig(nodeCount int, cgroupV1 bool, staticFiles string) string {
	var config strings.Builder
	config.WriteString(`kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
` + staticMount(staticFiles) + strings.Repeat("- role: worker\n", nodeCount-1) + `containerdConfigPatches:
- |
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "` + RegistryHosts + `"
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer:
    extraArgs:
      enable-admission-plugins: NodeRestriction,DenyServiceExternalIPs
` + staticAPIServer(staticFiles) + `  etcd:
    local:
      extraArgs:
        unsafe-no-fsync: "true"
`)
	if nodeCount > 1 {
		config.WriteString(`- |
  kind: InitConfiguration
  nodeRegistration:
    taints: []
`)
	}
	if cgroupV1 {
		config.WriteString(`- |
  kind: KubeletConfiguration
  failCgroupV1: false
`)
	}
	return config.String()
}

// copyKubectl copies kubectl from the node, where it has the right version.
func (c *Cluster) copyKubectl(ctx context.Context) error {
	found, err := c.nodes()
	if err != nil {
		return err
	}
	program, err := renameio.NewPendingFile(c.KubectlPath(), renameio.WithStaticPermissions(0o755))
	if err != nil {
		return err
	}
	defer program.Cleanup()
	if err := found[0].CommandContext(ctx, "cat", "/usr/bin/kubectl").SetStdout(program).Run(); err != nil {
		return fmt.Errorf("copy kubectl from the node: %w", explainKind(err))
	}
	return program.CloseAtomicallyReplace()
}
