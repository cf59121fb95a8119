package main

import (
	"context"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
)

func (t tool) addUp(c *cli.Named) {
	var pullThrough bool
	up := c.AddVerb(cli.Text{
		Use:   "up",
		Short: "Create the cluster and the mirror in it, unless they are up",
		Example: `  # The cluster of the Makefile's targets
  bin/cluster up

  # Another one, which can run any image of docker.io and registry.k8s.io
  bin/cluster up --name=second --pull-through

  # One with a control plane and a worker
  NODES=2 bin/cluster up --name=third`,
	}, func(ctx context.Context, name string) error { return t.up(ctx, name, pullThrough) })
	up.Flags().BoolVar(&pullThrough, "pull-through", false,
		"let the mirror fetch missing images from docker.io and registry.k8s.io")
}

// up adds the caches last: the mirror works without them.
func (t tool) up(ctx context.Context, name string, pullThrough bool) error {
	c, err := devcluster.OpenOrInstall(ctx, name, t.report)
	if err != nil {
		return withCode(err)
	}
	if _, err := c.Up(ctx); err != nil {
		return err
	}
	m, err := mirror.Open(c, t.report)
	if err != nil {
		return err
	}
	if err := m.Install(ctx); err != nil {
		return err
	}
	builder, err := mirror.NewSampleBuilder(ctx, t.report)
	if err != nil {
		return err
	}
	defer builder.Close()
	if err := m.PushSamples(ctx, builder, mirror.Samples...); err != nil || !pullThrough {
		return err
	}
	return m.EnablePullThrough(ctx)
}
