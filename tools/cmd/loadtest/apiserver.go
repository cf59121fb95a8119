package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/admissioncost"
	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

var apiserverHelp = cli.Text{
	Use:   "apiserver",
	Short: "Measure what each form of an installation adds to pod creates in an API server",
	Example: `  # On the API server of "make controlplane STATIC=1"; ANY_CLUSTER=1 allows any other cluster
  eval "$(bin/controlplane env)"
  bin/loadtest apiserver

  # On the kind cluster of "make up install STATIC=1"; writes docs/performance.md
  eval "$(bin/cluster env)"
  bin/loadtest apiserver --write

  # In a few seconds, to see that it works
  bin/loadtest apiserver --short`,
}

// apiserverOptions are the flags of apiserver.
type apiserverOptions struct {
	admissioncost.Options
	short bool
	write bool
}

// maxProfile is below the minute that an API server gives a request.
const maxProfile = 50 * time.Second

// addAPIServer adds the verb apiserver.
func addAPIServer(root *cobra.Command, stdout, stderr io.Writer) {
	var o apiserverOptions
	verb := cli.AddVerb(root, apiserverHelp, func(c *cobra.Command) error {
		if err := o.check(c); err != nil {
			return err
		}
		o.complete(c)
		return o.run(c.Context(), stdout, stderr)
	})
	f := verb.Flags()
	f.BoolVar(&o.short, "short", false, "measure for a few seconds, to see that it works; the figures are not\naccurate")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "use the cluster of this kubeconfig `file`, where the webhook is\ninstalled (default: the variable KUBECONFIG)")
	f.IntVar(&o.Iterations, "iterations", 1000, "create this `number` of pods per arm, one at a time")
	f.IntVar(&o.Clients, "clients", 8, "create pods with this `number` of clients at the same time")
	f.DurationVar(&o.Load, "duration", 10*time.Second, "run the clients for this long per arm")
	f.DurationVar(&o.Profile, "profile", 10*time.Second, "profile the CPU of the API server for this long per arm; 0: not at\nall")
	f.BoolVar(&o.write, "write", false, "write the figures to "+admissioncost.Page+"; fails if the API server does\nnot have all forms")
}

// check returns a Mistake for invalid flags.
func (o *apiserverOptions) check(c *cobra.Command) error {
	err := checkPositive(c, map[string]int64{"iterations": int64(o.Iterations), "clients": int64(o.Clients), "duration": int64(o.Load)})
	if err != nil {
		return err
	}
	if o.Profile != 0 && (o.Profile < time.Second || o.Profile > maxProfile) {
		return cli.Mistake(c, "invalid --profile=%s: use 0, or from 1s to %s", o.Profile, maxProfile)
	}
	if o.write && o.short {
		return cli.Mistake(c, "--write writes accurate figures: omit --short")
	}
	return nil
}

// complete sets the options that depend on --write, and those that --short replaces. Other flags override --short.
func (o *apiserverOptions) complete(c *cobra.Command) {
	o.AllArms = o.write
	if !o.short {
		return
	}
	if !c.Flags().Changed("iterations") {
		o.Iterations = 20
	}
	if !c.Flags().Changed("duration") {
		o.Load = time.Second
	}
	if !c.Flags().Changed("profile") {
		o.Profile = time.Second
	}
}

func (o *apiserverOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	result, err := admissioncost.Run(ctx, o.Options, progress.New(stderr))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(stdout, result.Markdown()); err != nil || !o.write {
		return err
	}
	root, err := workspace.Root(ctx)
	if err != nil {
		return err
	}
	return result.WritePage(root)
}
