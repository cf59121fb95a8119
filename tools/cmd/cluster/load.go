package main

import (
	"context"
	"fmt"

	"github.com/image-webhook/image-webhook/tools/cli"
)

func (t tool) addLoad(c *cli.Named) {
	var supervised bool
	load := c.AddVerb(cli.Text{
		Use:   "load",
		Short: "Build the webhook's image, load it into the nodes and print its content reference",
		Example: `  # Before scripts/install.sh
  bin/cluster load`,
	}, func(ctx context.Context, name string) error { return t.load(ctx, name, supervised) })
	load.Flags().BoolVar(&supervised, "supervised", false,
		"let the webhook be replaced while its container runs, as the Tiltfile does with --sync")
}

func (t tool) load(ctx context.Context, name string, supervised bool) error {
	c, err := t.openReady(ctx, name)
	if err != nil {
		return err
	}
	load := c.Load
	if supervised {
		load = c.LoadSupervised
	}
	contentRef, err := load(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.stdout, contentRef)
	return err
}
