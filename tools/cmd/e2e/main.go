// Command e2e runs the suite of directory e2e on a real cluster, in parallel and in random order.
// See package specrunner.
//
// It uses the kind cluster of `make up`, or the cluster of --kubeconfig. If it created the
// cluster, it deletes it at the end, unless a spec failed. The directory artifacts gets the
// summary (summary.md), the JUnit report (e2e.xml), Ginkgo's report (e2e.json), and a diagnosis
// of each failed spec.
//
// It exits with 0 if all specs passed, with 2 for a mistake in the command line, with 130 if it is
// interrupted, and with 1 for any other failure.
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

// main also handles SIGHUP: when a terminal is closed, Ginkgo does not get the signal, because it
// is in its own process group.
func main() { cli.Main(newRoot, syscall.SIGHUP) }

var help = cli.Text{
	Use:   "e2e",
	Short: "Run the suite on a real cluster and summarize the result",
	Example: `  # On the cluster of "make up", or on a new one, deleted afterwards
  bin/e2e

  # Some specs only
  bin/e2e --focus="mirror.*digest"
  bin/e2e --label-filter="!dev-cluster"

  # Stop at the first failure, and keep the cluster and its objects
  bin/e2e --debug

  # On another cluster, where the webhook is installed; ANY_CLUSTER=1 if kind did not
  # create it
  ANY_CLUSTER=1 bin/e2e --kubeconfig=staging.kubeconfig`,
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var o specrunner.Options
	command := cli.New(help, stdout, stderr, func(c *cobra.Command) error {
		if err := checkFlags(c, o); err != nil {
			return err
		}
		root, err := workspace.Root(c.Context())
		if err != nil {
			return err
		}
		return specrunner.Run(c.Context(), root, o, stdout, progress.New(stderr))
	})
	f := command.Flags()
	f.StringVar(&o.Name, "name", devcluster.DefaultName, "use the kind cluster with this `name`")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "use the cluster of this kubeconfig `file`, where the webhook is installed")
	f.StringVar(&o.Focus, "focus", "", "run only the specs whose text matches the regular `expression`")
	f.StringVar(&o.Labels, "label-filter", "", "run only the specs whose labels match Ginkgo's `filter`, such as '!dev-cluster'")
	f.IntVar(&o.Procs, "procs", defaultProcs, "run this `number` of specs at the same time")
	f.BoolVar(&o.Keep, "keep", false, "keep a cluster that was created for this run")
	f.BoolVar(&o.Debug, "debug", false, "stop at the first failure, keep the cluster and its objects, and print how to inspect them")
	f.BoolVar(&o.Record, "record", false, "record the golden reviews instead of running the specs")
	return command
}

// defaultProcs is larger than the number of cores of a small machine, because specs mostly wait for
// a kubelet.
const defaultProcs = 4

// checkFlags returns a Mistake for invalid flags.
func checkFlags(c *cobra.Command, o specrunner.Options) error {
	if err := cli.CheckName(c, o.Name); err != nil {
		return err
	}
	if o.Procs < 1 {
		return cli.Mistake(c, "invalid --procs %d: use 1 or more", o.Procs)
	}
	if c.Flags().Changed("kubeconfig") && o.Kubeconfig == "" {
		return cli.Mistake(c, "invalid --kubeconfig \"\": use a file, or omit the flag for the cluster of `make up`")
	}
	if _, err := regexp.Compile(o.Focus); err != nil {
		return cli.Mistake(c, "invalid --focus: %w", err)
	}
	if _, err := types.ParseLabelFilter(o.Labels); err != nil {
		return cli.Mistake(c, "invalid --label-filter %q: use a filter such as '!dev-cluster' or '(a || b) && c'", o.Labels)
	}
	if o.Record && o.Kubeconfig != "" {
		return cli.Mistake(c, "--record needs the cluster of `make up`: omit --kubeconfig")
	}
	return nil
}
