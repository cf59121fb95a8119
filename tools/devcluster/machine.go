package devcluster

import (
	"context"
	"fmt"
)

// KillNode stops the machine of a node at once, as a power failure does.
func (c *Cluster) KillNode(ctx context.Context, node string) error {
	if err := c.Engine.Run(ctx, nil, "kill", node); err != nil {
		return fmt.Errorf("stop node %s: %w", node, err)
	}
	return nil
}

// StartNode starts the machine of a node that was stopped. It does not wait until the node is ready.
func (c *Cluster) StartNode(ctx context.Context, node string) error {
	if err := c.Engine.Run(ctx, nil, "start", node); err != nil {
		return fmt.Errorf("start node %s: %w", node, err)
	}
	return nil
}
