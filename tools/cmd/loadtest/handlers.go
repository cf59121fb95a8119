package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/loadtest"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

var handlersHelp = cli.Text{
	Use:   "handlers",
	Short: "Compare the webhook with other HTTPS handlers, in about six minutes",
	Example: `  # All reviews; writes docs/performance.md and docs/performance.svg
  bin/loadtest handlers --write

  # In a few seconds, to see that it works
  bin/loadtest handlers --short

  # One review, more accurate
  bin/loadtest handlers --reviews=pod-create-3-containers --rounds=40`,
}

// handlersOptions are the flags of handlers.
type handlersOptions struct {
	loadtest.Options
	short bool
	write bool
	json  string // file for all figures
}

// settle is longer than the two minutes after which Go's runtime collects garbage without a load.
const settle = 150 * time.Second

// addHandlers adds the verb handlers.
func addHandlers(root *cobra.Command, stdout, stderr io.Writer) {
	var o handlersOptions
	verb := cli.AddVerb(root, handlersHelp, func(c *cobra.Command) error {
		if err := o.check(c); err != nil {
			return err
		}
		o.complete(c)
		return o.run(c.Context(), stdout, stderr)
	})
	f := verb.Flags()
	f.BoolVar(&o.short, "short", false, "send one review in one short round, to see that it works; the figures are\nnot accurate")
	f.StringSliceVar(&o.Contenders, "contenders", nil, "compare only these comma-separated `names`:\n"+strings.Join(loadtest.ContenderNames(), ", ")+"\n(default: all)")
	f.StringSliceVar(&o.Reviews, "reviews", nil, "send only these comma-separated `names` of pod-create-N-containers and\npod-update-N-containers, with N 1, 3, 10 and 60 (default: all)")
	f.DurationVar(&o.Duration, "duration", 200*time.Millisecond, "send each review for this long per server, path and round")
	f.IntVar(&o.Rounds, "rounds", 12, "send each review in this `number` of rounds")
	f.IntVar(&o.Connections, "connections", 8, "send requests on this `number` of connections")
	f.IntVar(&o.Rate, "rate", 500, "send this `number` of requests per second in the loads with a\nfixed rate")
	f.BoolVar(&o.write, "write", false, "write the figures to "+loadtest.Page+" and the plot beside it")
	f.StringVar(&o.json, "json", "", "write the figures of all rounds to this `file`")
}

// check returns a Mistake for invalid flags.
func (o *handlersOptions) check(c *cobra.Command) error {
	err := checkPositive(c, map[string]int64{
		"duration": int64(o.Duration), "rounds": int64(o.Rounds), "connections": int64(o.Connections), "rate": int64(o.Rate),
	})
	if err != nil {
		return err
	}
	if o.write {
		if flag, limited := limitingFlag(c); limited {
			return cli.Mistake(c, "--write writes the figures of all servers and reviews: omit --%s", flag)
		}
	}
	if err := loadtest.CheckNames(o.Contenders, o.Reviews); err != nil {
		return cli.Mistake(c, "%w", err)
	}
	return nil
}

// limitingFlag returns the flag that limits what is measured, if there is one.
func limitingFlag(c *cobra.Command) (flag string, limited bool) {
	for _, flag := range []string{"short", "contenders", "reviews"} {
		if c.Flags().Changed(flag) {
			return flag, true
		}
	}
	return "", false
}

// complete sets the options that depend on several flags. A run that does not measure everything
// does not wait until the memory has settled. Other flags override --short.
func (o *handlersOptions) complete(c *cobra.Command) {
	if _, limited := limitingFlag(c); !limited {
		o.Settle = settle
	}
	if !o.short {
		return
	}
	if !c.Flags().Changed("reviews") {
		o.Reviews = []string{loadtest.Headline}
	}
	if !c.Flags().Changed("duration") {
		o.Duration = 200 * time.Millisecond
	}
	if !c.Flags().Changed("rounds") {
		o.Rounds = 1
	}
}

func (o *handlersOptions) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if o.Root, err = workspace.Root(ctx); err != nil {
		return err
	}
	if o.Self, err = os.Executable(); err != nil {
		return err
	}
	result, err := loadtest.Run(ctx, o.Options, progress.New(stderr))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(stdout, result.Text()); err != nil {
		return err
	}
	if o.json != "" {
		if err := result.WriteJSON(o.json); err != nil {
			return err
		}
	}
	if o.write {
		return result.WritePage(o.Root)
	}
	return nil
}
