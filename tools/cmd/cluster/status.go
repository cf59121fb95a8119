package main

import (
	"context"
	"text/tabwriter"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/devcluster/monitoring"
)

func (t tool) addStatus(c *cli.Named) {
	c.AddVerb(cli.Text{
		Use:   "status",
		Short: "Show the state of the cluster, and of the mirror and Prometheus in it",
		Example: `  # Of another cluster than the Makefile's
  bin/cluster status --name=second`,
	}, t.status)
}

func (t tool) status(ctx context.Context, name string) error {
	c, err := t.open(ctx, name)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(t.stdout, 0, 0, 3, ' ', 0)
	defer table.Flush()
	state, err := c.PrintStatus(ctx, table)
	if err != nil {
		return err
	}
	if state != devcluster.Ready {
		return errNotReady
	}
	m, err := mirror.Open(c, nil)
	if err != nil {
		return err
	}
	if err := m.PrintStatus(ctx, table); err != nil {
		return err
	}
	prometheus, err := monitoring.Open(c, nil)
	if err != nil {
		return err
	}
	return prometheus.PrintStatus(ctx, table)
}
