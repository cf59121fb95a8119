// Command e2e runs the suite of folder e2e, and says what came of it.
//
// It brings up the kind cluster of `make up` with the mirror in it, and installs the
// webhook of this checkout there; or it takes any cluster, by --kubeconfig, and the
// webhook that is installed there. Then the specs run, in parallel and in random order.
// A cluster that it had to create is deleted at the end, unless a spec failed.
//
// The folder artifacts has the summary (summary.md), JUnit's report (e2e.xml), Ginkgo's
// (e2e.json), and for each spec that failed what the cluster said about it. What it has
// of an earlier run is removed first.
//
// It ends with 0 when every spec has passed, with 2 for a mistake in the command line,
// with 130 when it is interrupted, and with 1 for any other failure.
package main

import (
	"io"
	"regexp"
	"syscall"

	"github.com/onsi/ginkgo/v2/types"
	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/specrunner"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// A terminal that is closed ends a run too: Ginkgo is in a group of processes of its own,
// and would not hear of it.
func main() { cli.Main(newRoot, syscall.SIGHUP) }

var help = cli.Text{
	Use:   "e2e",
	Short: "Run the suite on a real cluster",
	Example: `  # On the cluster of "make up", or on one that goes afterwards
  bin/e2e

  # Some specs only
  bin/e2e --focus="mirror.*digest"
  bin/e2e --label-filter="!dev-cluster"

  # Stop at the first failure, and keep what it left
  bin/e2e --debug

  # On another cluster, where the webhook is installed; ANY_CLUSTER=1 for one that is
  # not made by kind
  ANY_CLUSTER=1 bin/e2e --kubeconfig=staging.kubeconfig`,
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var o specrunner.Options
	root := cli.New(help, stdout, stderr, func(c *cobra.Command) error {
		if err := check(c, o); err != nil {
			return err
		}
		folder, err := workspace.Root(c.Context())
		if err != nil {
			return err
		}
		return specrunner.Run(c.Context(), folder, o, stdout, progress.New(stderr))
	})
	f := root.Flags()
	f.StringVar(&o.Name, "name", devcluster.DefaultName, "name of the kind cluster")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "`file` of another cluster, where the webhook is installed")
	f.StringVar(&o.Focus, "focus", "", "run only the specs whose text matches the regular `expression`")
	f.StringVar(&o.Labels, "label-filter", "", "run only the specs whose labels fit Ginkgo's `filter`, such as '!dev-cluster'")
	f.IntVar(&o.Procs, "procs", defaultProcs, "`number` of specs that run at the same time")
	f.BoolVar(&o.Keep, "keep", false, "keep a cluster that was created for this run")
	f.BoolVar(&o.Debug, "debug", false, "stop at the first failure, keep all that it left, and say how to look at it")
	f.BoolVar(&o.Record, "record", false, "record the golden reviews, instead of running the specs")
	return root
}

// defaultProcs is more than a small machine has cores: specs mostly wait for a kubelet.
const defaultProcs = 4

// check refuses what makes no sense before anything is started.
func check(c *cobra.Command, o specrunner.Options) error {
	if err := cli.CheckName(c, o.Name); err != nil {
		return err
	}
	if o.Procs < 1 {
		return cli.Mistake(c, "--procs %d is too few: give 1 or more", o.Procs)
	}
	if c.Flags().Changed("kubeconfig") && o.Kubeconfig == "" {
		return cli.Mistake(c, "--kubeconfig is empty: name a file, or leave it out for the cluster of `make up`")
	}
	if _, err := regexp.Compile(o.Focus); err != nil {
		return cli.Mistake(c, "--focus: %w", err)
	}
	if _, err := types.ParseLabelFilter(o.Labels); err != nil {
		return cli.Mistake(c, "--label-filter %q cannot be read: write one such as '!dev-cluster' or '(a || b) && c'", o.Labels)
	}
	if o.Record && o.Kubeconfig != "" {
		return cli.Mistake(c, "--record needs the cluster of `make up`: leave --kubeconfig out")
	}
	return nil
}
