package main

import (
	"context"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/cli"
)

func (t tool) addEnv(c *cli.Named) {
	c.AddVerb(cli.Text{
		Use:   "env",
		Short: "Print shell commands that point kubectl at the cluster",
		Example: `  # In this shell
  eval "$(bin/cluster env)"`,
	}, t.env)
}

func (t tool) env(ctx context.Context, name string) error {
	c, err := t.openReady(ctx, name)
	if err != nil {
		return err
	}
	return cli.PrintShellEnv(t.stdout, c.Kubeconfig(), filepath.Dir(c.KubectlPath()))
}
