package main

import (
	"context"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/devcluster/monitoring"
	"github.com/image-webhook/image-webhook/tools/devcluster/nodemirrors"
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

  # One in which a policy of the API server denies, and the webhook mirrors and warns
  HYBRID=1 bin/cluster up --name=sixth

  # One with Prometheus, which scrapes the webhook
  bin/cluster up --name=fifth --monitoring

  # One whose nodes enforce NetworkPolicies
  bin/cluster up --name=fourth --network-policy

  # One whose nodes pull from the mirrors themselves
  bin/cluster up --name=sixth --hosts-toml

  # One whose API server reads the policy from files
  bin/cluster up --name=seventh --static`,
	}, func(ctx context.Context, name string) error { return t.up(ctx, name, o) })
	up.Flags().BoolVar(&o.pullThrough, "pull-through", false,
		"let the mirror fetch missing images from docker.io and registry.k8s.io")
	up.Flags().BoolVar(&o.networkPolicy, "network-policy", false,
		"let the nodes enforce NetworkPolicies; kind's own node images always do")
	up.Flags().BoolVar(&o.monitoring, "monitoring", false,
		"start Prometheus in the cluster, with the rules of deploy/monitoring")
	up.Flags().BoolVar(&o.hostsTOML, "hosts-toml", false,
		"let containerd on the nodes use the mirrors of deploy/04 for all images, with hosts.toml files")
	up.Flags().BoolVar(&o.static, "static", false,
		"let the API server read the policy of deploy/04 from files when it starts; needs Kubernetes 1.36")
}

// upOptions are the flags of the verb up.
type upOptions struct{ pullThrough, networkPolicy, monitoring, hostsTOML, static bool }

func (t tool) up(ctx context.Context, name string, o upOptions) error {
	c, err := devcluster.OpenOrInstall(ctx, name, t.report)
	if err != nil {
		return withCode(err)
	}
	if o.static {
		c.UseStaticFiles()
	}
	if _, err := c.Up(ctx); err != nil {
		return err
	}
	if o.networkPolicy {
		if err := c.EnforceNetworkPolicies(ctx); err != nil {
			return err
		}
	}
	if o.monitoring {
		if err := t.startMonitoring(ctx, c); err != nil {
			return err
		}
	}
	return t.startMirror(ctx, c, o)
}

func (t tool) startMonitoring(ctx context.Context, c *devcluster.Cluster) error {
	m, err := monitoring.Open(c, t.report)
	if err != nil {
		return err
	}
	return m.Install(ctx)
}

// startMirror starts the caches and the mirrors of the nodes last: the mirror works without them.
func (t tool) startMirror(ctx context.Context, c *devcluster.Cluster, o upOptions) error {
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
	if err := m.PushSamples(ctx, builder, mirror.Samples...); err != nil {
		return err
	}
	if o.pullThrough {
		if err := m.EnablePullThrough(ctx); err != nil {
			return err
		}
	}
	if o.hostsTOML {
		return nodemirrors.Install(ctx, c, m, t.report)
	}
	return nil
}
