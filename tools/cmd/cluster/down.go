package main

import (
	"context"

	"github.com/image-webhook/image-webhook/tools/cli"
)

func (t tool) addDown(c *cli.Named) {
	c.AddVerb(cli.Text{
		Use:   "down",
		Short: "Delete the cluster",
		Example: `  # With everything in it
  bin/cluster down`,
	}, t.down)
}

func (t tool) down(ctx context.Context, name string) error {
	c, err := t.open(ctx, name)
	if err != nil {
		return err
	}
	return c.Down(ctx)
}
