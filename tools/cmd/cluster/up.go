package main

import (
	"context"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
)

func (t tool) addUp(c *cli.Named) {
	var o upOptions
	up := c.AddVerb(cli.Text{
		Use:   "up",
		Short: "Create the cluster and the mirror in it, unless they are up",
		Example: `  # The cluster of the Makefile's targets
  bin/cluster up

  # Another one, which can run any image of docker.io and registry.k8s.io
  bin/cluster up --name=second --pull-through

  # One with a control plane and a worker
  NODES=2 bin/cluster up --name=third

  # One whose nodes enforce NetworkPolicies
  bin/cluster up --name=fourth --network-policy`,
	}, func(ctx context.Context, name string) error { return t.up(ctx, name, o) })
	up.Flags().BoolVar(&o.pullThrough, "pull-through", false,
		"let the mirror fetch missing images from docker.io and registry.k8s.io")
	up.Flags().BoolVar(&o.networkPolicy, "network-policy", false,
		"let the nodes enforce NetworkPolicies; kind's own node images always do")
}

// upOptions are the flags of the verb up.
type upOptions struct{ pullThrough, networkPolicy bool }

// up adds the caches last: the mirror works without them.
func (t tool) up(ctx context.Context, name string, o upOptions) error {
	c, err := devcluster.OpenOrInstall(ctx, name, t.report)
	if err != nil {
		return withCode(err)
	}
	if _, err := c.Up(ctx); err != nil {
		return err
	}
	if o.networkPolicy {
		if err := c.EnforceNetworkPolicies(ctx); err != nil {
			return err
		}
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
	if err := m.PushSamples(ctx, builder, mirror.Samples...); err != nil || !o.pullThrough {
		return err
	}
	return m.EnablePullThrough(ctx)
}
