package main

import (
	"context"

	"github.com/image-webhook/image-webhook/tools/cli"
)

func (t tool) addReload(c *cli.Named) {
	c.AddVerb(cli.Text{
		Use:   "reload",
		Short: "Build the webhook's image and roll it out; nothing else changes",
		Example: `  # After a change in webhook/
  bin/cluster reload`,
	}, t.reload)
}

func (t tool) reload(ctx context.Context, name string) error {
	c, err := t.openReady(ctx, name)
	if err != nil {
		return err
	}
	return c.Reload(ctx)
}
