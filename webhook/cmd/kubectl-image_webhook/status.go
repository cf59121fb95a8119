package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/webhook/status"
)

const statusExamples = `  # Check the installation in kubectl's current context
  kubectl image-webhook status

  # Show only problems
  kubectl image-webhook status | grep -A1 ^problem

  # Print the names of the checks that failed, in another context
  kubectl image-webhook status --context=staging --output=json | jq -r '.checks[] | select(.result == "problem").name'`

// statusOptions holds the flags of the verb status.
type statusOptions struct {
	output  string
	timeout time.Duration
}

func newStatus() *cobra.Command {
	var o statusOptions
	var c *connection
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what is wrong with the installation, and how to fix it",
		Long: `Say what is wrong with the installation, and how to fix it.

Each check has one of these results:

  ok       nothing is wrong
  info     a fact that can be intended, such as a namespace with the mode off
  warning  the webhook works, but less safely than it could
  problem  the webhook does not do its work, or will stop doing it
  unknown  the check could not be done, for the reason in the message

The exit code is 1 if there is a problem, or if a check could not be done, and 0 otherwise.
The command changes nothing in the cluster.`,
		Example: statusExamples,
		Args:    rejectArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return o.run(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	c = newConnection(cmd.Flags(), "The namespace of the webhook (default "+status.DefaultNamespace+")")
	addJSONOutput(cmd.Flags(), &o.output)
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "stop after this `duration`")
	return cmd
}

func rejectArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

func (o statusOptions) check() error {
	if err := checkJSONOutput(o.output); err != nil {
		return err
	}
	if o.timeout <= 0 {
		return fmt.Errorf("--timeout: invalid duration %q: use a positive duration such as 30s", o.timeout)
	}
	return nil
}

func (o statusOptions) run(ctx context.Context, c *connection, out io.Writer) error {
	config, err := c.load()
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	snapshot, err := status.Gather(limited, config, cmp.Or(c.namespace(), status.DefaultNamespace))
	if err == nil {
		err = ctx.Err() // an interrupted report would be wrong
	}
	if err != nil {
		return err
	}
	report := status.Evaluate(snapshot)
	if err := o.print(report, out); err != nil {
		return err
	}
	if !report.Healthy {
		return exitFailure
	}
	return nil
}

func (o statusOptions) print(report status.Report, out io.Writer) error {
	if o.output == "json" {
		return report.PrintJSON(out)
	}
	return report.Print(out, isColored(out))
}
