// Command fuzz runs every fuzz target of this module, one after the other, each
// for the same time:
//
//	fuzz --time 10m
//
// An input that fails is written below its package's testdata/fuzz: it is a test
// from then on, to be committed with what mends it. What failed is printed at the
// end, where a long log is read first.
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
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

func main() { cli.Main(newRoot) }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var each time.Duration
	root := cli.New(cli.Text{
		Use:   "fuzz",
		Short: "Run every fuzz target of this module, one after the other",
		Example: `  # Half a minute each
  go run ./tools/cmd/fuzz

  # For a night
  go run ./tools/cmd/fuzz --time=1h`,
	}, stdout, stderr, func(c *cobra.Command) error {
		if each <= 0 {
			return cli.Mistake(c, "--time=%s is no time to fuzz for: write a duration such as 30s or 10m", each)
		}
		return run(c.Context(), each)
	})
	root.Flags().DurationVar(&each, "time", 30*time.Second, "how long each target is fuzzed")
	return root
}

// run fuzzes all targets, also after one has failed.
func run(ctx context.Context, each time.Duration) error {
	all, err := targets()
	if err != nil {
		return err
	}
	report := progress.New(os.Stderr)
	var failures []error
	for _, t := range all {
		if err := fuzz(ctx, report, t, each); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil {
			failures = append(failures, fmt.Errorf("%s, %s: %w", t.name, t.pkg, err))
		}
	}
	for _, failure := range failures {
		subprocess.Print(os.Stderr, "fuzz", failure)
	}
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d targets failed", len(failures), len(all))
	}
	return nil
}

// fuzz runs one target. Without a bound on minimizing, an input that is merely new
// would take up to a minute of the time.
func fuzz(ctx context.Context, report *progress.Reporter, t target, each time.Duration) error {
	return report.Step(t.name+", "+t.pkg, func(s *progress.Step) error {
		var output strings.Builder
		err := subprocess.Command{
			Args: []string{"go", "test", t.pkg, "-run", "^$", "-fuzz", "^" + t.name + "$",
				"-fuzztime", each.String(), "-fuzzminimizetime", "10x"},
			Progress: io.MultiWriter(s, &output),
		}.Run(ctx)
		if err := verdict(err); err != nil {
			return err
		}
		s.SetResult("%s", reached(output.String()))
		return nil
	})
}
