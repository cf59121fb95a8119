// Command fuzz runs every fuzz target of this module, one after the other, each for the same
// time:
//
//	fuzz --time 10m
//
// Go writes a failing input to testdata/fuzz in the package of the target, where `go test` uses it:
// commit it together with the fix. Failures are printed at the end of the log.
package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

func main() { cli.Main(newRoot) }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var perTarget time.Duration
	root := cli.New(cli.Text{
		Use:   "fuzz",
		Short: "Run every fuzz target of this module, one after the other",
		Example: `  # Each for half a minute
  go run ./tools/cmd/fuzz

  # Each for an hour
  go run ./tools/cmd/fuzz --time=1h`,
	}, stdout, stderr, func(c *cobra.Command) error {
		if perTarget <= 0 {
			return cli.Mistake(c, "invalid --time=%s: use a duration above zero, such as 30s or 10m", perTarget)
		}
		return run(c.Context(), perTarget, stderr)
	})
	root.Flags().DurationVar(&perTarget, "time", 30*time.Second, "fuzz each target for this long")
	return root
}

// run fuzzes all targets, even after a failure.
func run(ctx context.Context, perTarget time.Duration, stderr io.Writer) error {
	targets, err := findTargets()
	if err != nil {
		return err
	}
	report := progress.New(stderr)
	var failures []error
	for _, t := range targets {
		if err := fuzz(ctx, report, t, perTarget); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil {
			failures = append(failures, fmt.Errorf("%s, %s: %w", t.name, t.pkg, err))
		}
	}
	for _, failure := range failures {
		subprocess.Print(stderr, "fuzz", failure)
	}
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d fuzz targets failed", len(failures), len(targets))
	}
	return nil
}

// fuzz runs one target. It limits the minimization of inputs, which can take a minute for each.
func fuzz(ctx context.Context, report *progress.Reporter, t target, perTarget time.Duration) error {
	return report.Step(t.name+", "+t.pkg, func(s *progress.Step) error {
		var output strings.Builder
		err := subprocess.Command{
			Args: []string{"go", "test", t.pkg, "-run", "^$", "-fuzz", "^" + t.name + "$",
				"-fuzztime", perTarget.String(), "-fuzzminimizetime", "10x"},
			Progress: io.MultiWriter(s, &output),
		}.Run(ctx)
		if err := explainFailure(err); err != nil {
			return err
		}
		s.SetResult("%s", inputCounts(output.String()))
		return nil
	})
}
