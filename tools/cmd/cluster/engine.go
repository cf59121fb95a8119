package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/engine"
)

// addEngine adds the only verb that does not use a cluster.
func (t tool) addEngine(c *cli.Named) {
	cli.AddVerb(c.Root, cli.Text{
		Use:   "engine",
		Short: "Print the container engine; install one if there is none",
		Example: `  # Use podman, and install it if it is missing
  ENGINE=podman bin/cluster engine`,
	}, func(c *cobra.Command) error { return t.engine(c.Context()) })
}

func (t tool) engine(ctx context.Context) error {
	found, err := engine.Ensure(ctx, t.report)
	if err != nil {
		return withCode(err)
	}
	_, err = fmt.Fprintln(t.stdout, found.Name)
	return err
}
