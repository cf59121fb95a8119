// Command chaos creates pods from eight clients in the cluster of `make up install` while events
// happen, such as rollouts and renewals of the certificate, and counts what the webhook loses. See
// package chaos.
//
// It exits with 0 if nothing was lost and all events happened, with 2 for a mistake in the command
// line, with 130 if it is interrupted, and with 1 for any other result.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/image-webhook/image-webhook/tools/chaos"
	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
)

func main() {
	klog.SetLogger(logr.Discard()) // client-go logs when a forwarded connection is closed
	cli.Main(newRoot)
}

var help = cli.Text{
	Use:   "chaos",
	Short: "Create pods while certificates and replicas are replaced, and count what is lost",
	Example: `  # All events, on the cluster of "make up install"
  bin/chaos

  # Some events, in a minute
  bin/chaos --short

  # The names of all events, and two of them
  bin/chaos --list
  bin/chaos --events=rollout-1,03-rollout-06

  # An hour in which certificates are valid for ten minutes
  bin/chaos --soak=1h --output=soak.md`,
}

// options are the flags.
type options struct {
	chaos.Options
	name     string
	events   []string
	list     bool
	short    bool
	soak     time.Duration
	validity time.Duration
	output   string
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var o options
	command := cli.New(help, stdout, stderr, func(c *cobra.Command) error {
		if err := o.check(c); err != nil {
			return err
		}
		if o.list {
			return printEvents(stdout)
		}
		return o.run(c.Context(), stdout, progress.New(stderr))
	})
	f := command.Flags()
	f.StringVar(&o.name, "name", devcluster.DefaultName, "use the kind cluster with this `name`")
	f.StringSliceVar(&o.events, "events", nil, "run only the events with these comma-separated `names` (default: all)")
	f.BoolVar(&o.list, "list", false, "list the events and exit")
	f.BoolVar(&o.short, "short", false, "run only some events, in about a minute")
	f.IntVar(&o.Rate, "rate", 10, "create at most this `number` of pods per second with each client")
	f.IntVar(&o.Store, "store", 10, "store this `percentage` of the pods; the others are created as a dry run")
	f.DurationVar(&o.Settle, "settle", 5*time.Second, "let a renewal wait this long until the API servers use a new CA")
	f.DurationVar(&o.soak, "soak", 0, "run no events: instead, let the CronJob renew the certificate all the time\nfor this long")
	f.DurationVar(&o.validity, "validity", 10*time.Minute, "with --soak, issue certificates that are valid for this long")
	f.StringVar(&o.output, "output", "", "write the report to this Markdown `file` too; in a file that exists,\nreplace only the section of the report")
	return command
}

// maxRate is more than a small machine can do.
const maxRate = 1000

// check returns a Mistake for invalid flags.
func (o *options) check(c *cobra.Command) error {
	if err := cli.CheckName(c, o.name); err != nil {
		return err
	}
	if err := o.checkValues(c); err != nil {
		return err
	}
	soak := c.Flags().Changed("soak")
	switch {
	case soak && (o.short || len(o.events) > 0):
		return cli.Mistake(c, "--soak runs no events: omit --short and --events")
	case o.short && len(o.events) > 0:
		return cli.Mistake(c, "--short chooses the events: omit --events")
	case c.Flags().Changed("validity") && !soak:
		return cli.Mistake(c, "--validity needs --soak")
	}
	if err := chaos.CheckNames(o.events); err != nil {
		return cli.Mistake(c, "%w", err)
	}
	return nil
}

// checkValues returns a Mistake for a value that is too low or too high.
func (o *options) checkValues(c *cobra.Command) error {
	switch {
	case o.Rate < 1 || o.Rate > maxRate:
		return cli.Mistake(c, "invalid --rate=%d: use 1 to %d", o.Rate, maxRate)
	case o.Store < 0 || o.Store > 100:
		return cli.Mistake(c, "invalid --store=%d: use 0 to 100", o.Store)
	case o.Settle < 0:
		return cli.Mistake(c, "invalid --settle=%s: use 0s or more", o.Settle)
	case c.Flags().Changed("soak") && o.soak < time.Minute:
		return cli.Mistake(c, "invalid --soak=%s: use 1m or more", o.soak)
	case o.validity < time.Minute:
		return cli.Mistake(c, "invalid --validity=%s: use 1m or more", o.validity)
	}
	return nil
}

func printEvents(stdout io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 3, ' ', 0)
	fmt.Fprint(table, chaos.List())
	return table.Flush()
}

// run prints the report, also an incomplete one, and returns an error unless everything in it is as
// it must be.
func (o *options) run(ctx context.Context, stdout io.Writer, report *progress.Reporter) error {
	if o.output != "" {
		if err := chaos.CheckOutput(o.output, o.soak > 0); err != nil {
			return err
		}
	}
	cluster, err := devcluster.Open(ctx, o.name, report)
	if err != nil {
		return err
	}
	result, err := o.measure(ctx, cluster, report)
	if result == nil || len(result.Rows) == 0 {
		return err
	}
	fmt.Fprintf(stdout, "\n%s\n", result.Markdown())
	if err == nil && o.output != "" {
		err = result.Write(o.output)
	}
	return errors.Join(err, result.Err())
}

func (o *options) measure(ctx context.Context, cluster *devcluster.Cluster, report *progress.Reporter) (*chaos.Report, error) {
	if o.soak > 0 {
		return chaos.Soak(ctx, cluster, o.soak, o.validity, o.Options, report)
	}
	return chaos.Run(ctx, cluster, o.events, o.short, o.Options, report)
}
