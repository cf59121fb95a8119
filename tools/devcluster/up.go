package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/semver"
	"sigs.k8s.io/kind/pkg/cluster"

	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// readyLimit is how long a new node may take to be Ready.
const readyLimit = 3 * time.Minute

// Up makes sure that the cluster is there and answers. A cluster that is listed
// but dead, or was never finished, is replaced. It returns whether it created
// the cluster.
func (c *Cluster) Up(ctx context.Context) (created bool, err error) {
	state, err := c.State(ctx)
	if err != nil {
		return false, err
	}
	if state == Ready {
		return false, c.accept()
	}
	image, err := c.nodeImage(ctx)
	if err != nil {
		return false, err
	}
	if state == Dead {
		c.report.Note("Cluster %s is there but does not answer, or was never finished: it is replaced.", c.Name)
		if err := c.Down(ctx); err != nil {
			return false, err
		}
	}
	return true, c.create(ctx, image)
}

// accept takes the cluster that is up, unless it is of another version than is asked
// for. Who names a node image knows better.
func (c *Cluster) accept() error {
	running, err := c.release()
	if err != nil {
		return err
	}
	if os.Getenv("KIND_NODE_IMAGE") == "" {
		version, err := kubebuild.FindFromEnvironment(c.root)
		if err != nil {
			return err
		}
		if err := c.refuseOther(running, version.Minor); err != nil {
			return err
		}
	}
	c.report.Note("✓ cluster %s is up already, with Kubernetes %s", c.Name, running)
	return nil
}

// refuseOther is an error unless the release running is one of minor.
func (c *Cluster) refuseOther(running, minor string) error {
	if semver.MajorMinor(running) == "v"+minor {
		return nil
	}
	return fmt.Errorf("cluster %s is up with Kubernetes %s, not %s: delete it first with `bin/cluster down --name=%s`, "+
		"or set K8S (or KIND_NODE_IMAGE) as it was when the cluster was made", c.Name, running, minor, c.Name)
}

// release asks the API server for its version, as v1.37.1.
func (c *Cluster) release() (string, error) {
	client, err := c.Client()
	if err != nil {
		return "", err
	}
	running, err := client.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("ask cluster %s for its version: %w", c.Name, err)
	}
	return running.GitVersion, nil
}

// create makes the cluster, writes its kubectl and keeps the logs of a failure.
func (c *Cluster) create(ctx context.Context, image string) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	_ = os.Remove(c.Kubeconfig()) // of an earlier cluster: kind would merge into it
	c.report.Note("Node image: %s", image)
	err := c.report.Step("create cluster "+c.Name, func(step *progress.Step) error {
		c.kindLog.to(step)
		defer c.kindLog.to(nil)
		return uninterrupted(ctx, func() error {
			return c.provider.Create(c.Name,
				cluster.CreateWithRawConfig([]byte(kindConfig(engine.CgroupV1()))),
				cluster.CreateWithNodeImage(image),
				cluster.CreateWithKubeconfigPath(c.Kubeconfig()),
				cluster.CreateWithWaitForReady(readyLimit),
				cluster.CreateWithRetain(true), // for the logs
			)
		})
	})
	if err != nil {
		return fmt.Errorf("create cluster %s: %w", c.Name, c.cleanUp(ctx, explainKind(err)))
	}
	return c.copyKubectl(ctx)
}

// cleanUp saves the logs of a cluster that could not be created and deletes it.
// An interrupted run leaves it to the next one.
func (c *Cluster) cleanUp(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	if found, err := c.provider.ListNodes(c.Name); err != nil || len(found) == 0 {
		return cause
	}
	_ = os.RemoveAll(c.logs())
	if err := c.provider.CollectLogs(c.Name, c.logs()); err == nil {
		c.report.Note("The nodes' logs are in %s", c.logs())
	}
	_ = c.provider.Delete(c.Name, c.Kubeconfig())
	return cause
}

// kindConfig is a cluster of one node. Its data is worth nothing after a crash,
// so etcd need not wait for the disk; kubeadm takes its arguments as a map until
// Kubernetes 1.35, where kind writes v1beta3, and as a list since. containerd looks for
// the hosts of mirrors below RegistryHosts, whatever the node image.
func kindConfig(cgroupV1 bool) string {
	var config strings.Builder
	config.WriteString(`kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
containerdConfigPatches:
- |
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "` + RegistryHosts + `"
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiVersion: kubeadm.k8s.io/v1beta4
  etcd:
    local:
      extraArgs:
      - name: unsafe-no-fsync
        value: "true"
- |
  kind: ClusterConfiguration
  apiVersion: kubeadm.k8s.io/v1beta3
  etcd:
    local:
      extraArgs:
        unsafe-no-fsync: "true"
`)
	if cgroupV1 {
		config.WriteString(`- |
  kind: KubeletConfiguration
  failCgroupV1: false
`)
	}
	return config.String()
}

// copyKubectl takes the node's own kubectl: it is there whatever the image, and
// of the right version.
func (c *Cluster) copyKubectl(ctx context.Context) error {
	found, err := c.nodes()
	if err != nil {
		return err
	}
	err = writeAtomically(c.KubectlPath(), func(out *os.File) error {
		return found[0].CommandContext(ctx, "cat", "/usr/bin/kubectl").SetStdout(out).Run()
	})
	if err != nil {
		return fmt.Errorf("copy kubectl from the node: %w", explainKind(err))
	}
	return nil
}

// writeAtomically makes an executable file that is whole or not there.
func writeAtomically(path string, write func(*os.File) error) error {
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	err = errors.Join(write(out), out.Chmod(0o755), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}
