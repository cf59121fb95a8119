// Command cluster runs a real kind cluster for developing, demonstrating and
// testing the webhook. See package devcluster.
//
//	cluster up        create the cluster and the mirror in it, or do nothing if they are up
//	cluster load      build the webhook's image, put it on the nodes and print the
//	                  reference that is made from its content
//	cluster install   load, then apply the numbered manifests of deploy/
//	cluster reload    load, then roll the new image out, leaving all else as it is
//	cluster status    how the cluster and the webhook in it are
//	cluster env       shell commands that point kubectl at the cluster
//	cluster down      delete the cluster
//	cluster engine    print which container engine is used, and install one if there is none
//
// The variable K8S chooses the version of Kubernetes of a new cluster, as 1.36.
//
// It ends with 3 where there is no container engine and none can be installed, with 2
// for a mistake in the command line and with 1 for any other failure.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/progress"
)

func main() { cli.Main(newRoot) }

// errNotReady ends the verbs that need a cluster where there is none that works.
var errNotReady = errors.New("there is no such cluster that works: run `make up`")

// exitNoEngine tells `make demo` from other failures that it can go on without one.
const exitNoEngine = 3

// action is a verb: what it does to the opened cluster.
type action func(ctx context.Context, c *devcluster.Cluster) error

const examples = `  # A cluster with this checkout in it, and kubectl pointed at it
  bin/cluster up
  bin/cluster install
  eval "$(bin/cluster env)"

  # Bash completes verbs and flags in this shell
  source <(bin/cluster completion bash)`

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	name := devcluster.DefaultName
	report := progress.New(stderr)
	root := cli.NewRoot(cli.Text{Use: "cluster", Short: "A real kind cluster with the webhook in it; K8S=1.36 chooses its version of Kubernetes", Example: examples}, stdout, stderr)
	root.PersistentFlags().StringVar(&name, "name", name, "name of the cluster")
	verb := func(use, short, example string, do action) *cobra.Command {
		return cli.AddVerb(root, cli.Text{Use: use, Short: short, Example: example}, func(c *cobra.Command) error {
			if err := cli.CheckName(c, name); err != nil {
				return err
			}
			opened, err := open(c.Context(), use, name, report)
			if err != nil {
				return err
			}
			return do(c.Context(), opened)
		})
	}
	var pullThrough bool
	upVerb := verb("up", "Create the cluster and the mirror in it, or do nothing if they are up", `  # The cluster of the Makefile's targets
  bin/cluster up

  # Another one, that can run any image of docker.io and registry.k8s.io
  bin/cluster up --name=second --pull-through`, func(ctx context.Context, c *devcluster.Cluster) error {
		return up(ctx, c, pullThrough, report)
	})
	upVerb.Flags().BoolVar(&pullThrough, "pull-through", false,
		"have the mirror fetch from docker.io and registry.k8s.io what it does not hold")
	var supervised bool
	loadVerb := verb("load", "Build the webhook's image, put it on the nodes and print its content's reference", `  # Before scripts/install.sh
  bin/cluster load`, whenReady(func(ctx context.Context, c *devcluster.Cluster) error { return load(ctx, c, supervised, stdout) }))
	loadVerb.Flags().BoolVar(&supervised, "supervised", false,
		"have the image let its webhook be replaced while it runs, as the Tiltfile does with --sync")
	verb("install", "Load the webhook's image and apply the numbered manifests", `  # For the first time, and after a change
  bin/cluster install`, whenReady(install))
	verb("reload", "Build the webhook's image anew and roll it out, leaving all else as it is", `  # After a change in webhook/
  bin/cluster reload`, whenReady(reload))
	verb("status", "Show how the cluster and the webhook in it are", `  # Of another cluster than the Makefile's
  bin/cluster status --name=second`, func(ctx context.Context, c *devcluster.Cluster) error {
		return status(ctx, c, stdout)
	})
	verb("env", "Print shell commands that point kubectl at the cluster", `  # In this shell
  eval "$(bin/cluster env)"`, func(ctx context.Context, c *devcluster.Cluster) error {
		if err := ready(ctx, c); err != nil {
			return err
		}
		return cli.PrintShellEnv(stdout, c.Kubeconfig(), filepath.Dir(c.KubectlPath()))
	})
	verb("down", "Delete the cluster", `  # With all that is in it
  bin/cluster down`, func(ctx context.Context, c *devcluster.Cluster) error { return c.Down(ctx) })
	cli.AddVerb(root, cli.Text{Use: "engine", Short: "Print which container engine is used, and install one if there is none", Example: `  # Use podman, and install it if it is missing
  ENGINE=podman bin/cluster engine`}, func(c *cobra.Command) error {
		found, err := engine.Ensure(c.Context(), report)
		if err != nil {
			return withCode(err)
		}
		_, err = fmt.Fprintln(stdout, found.Name)
		return err
	})
	return root
}

// open opens the cluster for a verb. Only `up` installs an engine.
func open(ctx context.Context, verb, name string, report *progress.Reporter) (*devcluster.Cluster, error) {
	open := devcluster.Open
	if verb == "up" {
		open = devcluster.OpenOrInstall
	}
	c, err := open(ctx, name, report)
	return c, withCode(err)
}

func withCode(err error) error {
	if errors.Is(err, engine.ErrNone) {
		return cli.WithCode(err, exitNoEngine)
	}
	return err
}

// up ends with the caches: without them the mirror is of use all the same.
func up(ctx context.Context, c *devcluster.Cluster, pullThrough bool, report *progress.Reporter) error {
	if _, err := c.Up(ctx); err != nil {
		return err
	}
	m, err := mirror.Open(c, report)
	if err != nil {
		return err
	}
	if err := m.Install(ctx); err != nil {
		return err
	}
	workshop, err := mirror.OpenWorkshop(ctx, report)
	if err != nil {
		return err
	}
	defer workshop.Close()
	if err := m.PushSamples(ctx, workshop, mirror.Samples...); err != nil || !pullThrough {
		return err
	}
	return m.PullThrough(ctx)
}

// ready refuses what needs a cluster before it has done half of it.
func ready(ctx context.Context, c *devcluster.Cluster) error {
	state, err := c.State(ctx)
	if err == nil && state != devcluster.Ready {
		return errNotReady
	}
	return err
}

// whenReady is a verb that needs a cluster.
func whenReady(do action) action {
	return func(ctx context.Context, c *devcluster.Cluster) error {
		if err := ready(ctx, c); err != nil {
			return err
		}
		return do(ctx, c)
	}
}

func load(ctx context.Context, c *devcluster.Cluster, supervised bool, stdout io.Writer) error {
	load := c.Load
	if supervised {
		load = c.LoadSupervised
	}
	contentRef, err := load(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, contentRef)
	return err
}

func install(ctx context.Context, c *devcluster.Cluster) error {
	contentRef, err := c.Load(ctx)
	if err != nil {
		return err
	}
	return c.Install(ctx, contentRef)
}

func reload(ctx context.Context, c *devcluster.Cluster) error { return c.Reload(ctx) }

func status(ctx context.Context, c *devcluster.Cluster, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
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
	return m.PrintStatus(ctx, table)
}
