package devcluster

import (
	"context"
	"fmt"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
)

// RegistryHosts is the directory on a node with containerd's configuration of registries.
// containerd reads its files <registry>/hosts.toml on each pull:
// https://github.com/containerd/containerd/blob/main/docs/hosts.md
const RegistryHosts = "/etc/containerd/certs.d"

// WriteFile writes a file on all nodes and creates its parent directories.
func (c *Cluster) WriteFile(ctx context.Context, path, content string) error {
	err := c.onNodes(ctx, func(node nodes.Node) error { return nodeutils.WriteFile(node, path, content) })
	if err != nil {
		return fmt.Errorf("write %s on the nodes of cluster %s: %w", path, c.Name, err)
	}
	return nil
}

// RunOnNodes runs a program on all nodes, one after the other.
func (c *Cluster) RunOnNodes(ctx context.Context, program string, args ...string) error {
	err := c.onNodes(ctx, func(node nodes.Node) error { return node.CommandContext(ctx, program, args...).Run() })
	if err != nil {
		return fmt.Errorf("run %s on the nodes of cluster %s: %w", program, c.Name, err)
	}
	return nil
}

// RunOnNode runs a program on one node.
func (c *Cluster) RunOnNode(ctx context.Context, name, program string, args ...string) error {
	if err := c.Engine.Run(ctx, nil, append([]string{"exec", name, program}, args...)...); err != nil {
		return fmt.Errorf("run %s on node %s of cluster %s: %w", program, name, c.Name, err)
	}
	return nil
}

func (c *Cluster) onNodes(ctx context.Context, task func(nodes.Node) error) error {
	return untilDone(ctx, func() error {
		found, err := c.nodes()
		if err != nil {
			return err
		}
		for _, node := range found {
			if err := task(node); err != nil {
				return explainKind(err)
			}
		}
		return nil
	})
}
