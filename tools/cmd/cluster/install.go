package main

import (
	"context"

	"github.com/image-webhook/image-webhook/tools/cli"
)

func (t tool) addInstall(c *cli.Named) {
	c.AddVerb(cli.Text{
		Use:   "install",
		Short: "Load the webhook's image and apply the manifests of deploy/",
		Example: `  # The first time, and after a change in deploy/
  bin/cluster install`,
	}, t.install)
}

func (t tool) install(ctx context.Context, name string) error {
	c, err := t.openReady(ctx, name)
	if err != nil {
		return err
	}
	contentRef, err := c.Load(ctx)
	if err != nil {
		return err
	}
	return c.Install(ctx, contentRef)
}
