package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/cluster"

	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/nodeimage/builder"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	// pullLimit bounds the attempt to pull kind's own node image: a network that
	// swallows packets must not cost more than a fraction of building one.
	pullLimit = 90 * time.Second
	// readyLimit is how long a new node may take to be Ready.
	readyLimit = 3 * time.Minute
)

// Up makes sure that the cluster is there and answers. A cluster that is listed
// but dead, or was never finished, is replaced. It returns whether it created
// the cluster.
func (c *Cluster) Up(ctx context.Context) (created bool, err error) {
	state, err := c.State(ctx)
	if err != nil {
		return false, err
	}
	if state == Ready {
		c.report.Note("✓ cluster %s is up already", c.Name)
		return false, nil
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

// nodeImage is KIND_NODE_IMAGE if that is set; else kind's own default if the
// engine has it, or can pull it soon; else the image of package builder.
func (c *Cluster) nodeImage(ctx context.Context) (string, error) {
	if image := os.Getenv("KIND_NODE_IMAGE"); image != "" {
		c.report.Note("Using KIND_NODE_IMAGE.")
		return image, nil
	}
	if c.Engine.HasImage(ctx, defaults.Image) {
		return defaults.Image, nil
	}
	built, found, err := builder.Find(ctx, c.root, c.Engine)
	if err != nil || found {
		return built, err
	}
	if pulled, err := c.pullDefault(ctx); err != nil || pulled {
		return defaults.Image, err
	}
	c.report.Note("Building the node image from Go modules and Debian packages: about ten minutes, once.")
	return builder.Build(ctx, c.root, c.Engine, c.report)
}

// pullDefault tries to pull kind's own node image. That no registry gives it is
// no error: there is another way.
func (c *Cluster) pullDefault(ctx context.Context) (pulled bool, err error) {
	name, _, _ := strings.Cut(defaults.Image, "@")
	err = c.report.Step("ask for kind's node image "+name, func(step *progress.Step) error {
		if pullErr := c.Engine.Pull(ctx, step, defaults.Image, pullLimit); pullErr != nil {
			step.SetResult("no registry gives it")
			return ctx.Err()
		}
		pulled = true
		return nil
	})
	return pulled, err
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
// so etcd need not wait for the disk. containerd looks for the hosts of mirrors
// below RegistryHosts, whatever the node image.
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
  etcd:
    local:
      extraArgs:
      - name: unsafe-no-fsync
        value: "true"
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
