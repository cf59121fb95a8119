package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/webhook/askmirrors"
	"github.com/image-webhook/image-webhook/webhook/buildversion"
	"github.com/image-webhook/image-webhook/webhook/check"
	"github.com/image-webhook/image-webhook/webhook/report"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
)

const checkExamples = `  # Check the manifests in a directory and below it
  kubectl image-webhook check deploy --config=policy.yaml

  # Check what a Helm chart creates
  helm template . | kubectl image-webhook check -

  # Write the images on their mirrors into the files
  kubectl image-webhook check deploy --config=policy.yaml --fix-mirrors

  # Check custom resources with a pod spec, too
  kubectl image-webhook check deploy --image-path=Rollout.argoproj.io=spec.template.spec

  # Copy the images that a mirror does not have
  kubectl image-webhook check deploy --config=policy.yaml --ask-mirrors | sed -n 's/^missing //p' | xargs -n 2 crane copy`

// checkOptions holds the flags of the verb check.
type checkOptions struct {
	rules      *ruleflags.Flags
	imagePaths []string
	fix        bool
	ask        bool
	output     string
}

func newCheck() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check {FILE | DIRECTORY | -}...",
		Short: "Find images in manifests that the webhook would deny",
		Long: `Find images in manifests that the webhook would deny, in the mode deny.

It reads YAML and JSON files, directories with such files, and standard input (-). The rules are
those of a policy file, or of the flags of image-webhook serve.

The exit code is 0 if all images are allowed, 1 if an image is not allowed or a mirror does not
have it, and 2 if something could not be read. The command asks no cluster.`,
		Example: checkExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no manifests: name files, directories, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, paths []string) error {
			return o.run(cmd.Context(), paths, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	o.rules = addRules(f, configUsage)
	f.StringArrayVar(&o.imagePaths, "image-path", nil, "check custom resources too: `KIND.GROUP=PATH`, where PATH has\nthe keys of an image, of a list of images, or of a pod spec,\nseparated by dots; an empty PATH: the kind has no images (can\nbe repeated)")
	f.BoolVar(&o.fix, "fix-mirrors", false, "replace images in the files by those on their mirrors")
	addAskMirrors(f, &o.ask)
	f.StringVarP(&o.output, "output", "o", report.Formats[0], "write the report in this `format`:\n"+strings.Join(report.Formats, ", "))
	return cmd
}

func (o checkOptions) run(ctx context.Context, paths []string, stdin io.Reader, stdout, stderr io.Writer) error {
	rules, err := o.rules.Load()
	if err != nil {
		return err
	}
	imagePaths, err := check.ParseImagePaths(o.imagePaths)
	if err != nil {
		return fmt.Errorf("--image-path: %w", err)
	}
	progress := newProgress(stderr)
	defer progress.clear()
	out := bufio.NewWriter(progress.before(stdout))
	writer, err := report.New(o.output, buildversion.Of(version), out, isColored(stdout))
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	found, err := check.Run(ctx, paths, check.Options{
		Rules: rules, ImagePaths: imagePaths, FixMirrors: o.fix, Stdin: stdin,
		Progress: func(documents int) { progress.show("checked %d documents", documents) },
	}, writer)
	if err == nil && o.ask {
		err = reportMissing(ctx, &found, writer, progress)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(writer.Close(found.Summary), out.Flush()); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return outcome(found.Summary)
}

// outcome returns the error with the exit code of a check.
func outcome(s report.Summary) error {
	switch {
	case s.Problems > 0:
		return exitUsage
	case s.Violations > 0 || s.Missing > 0:
		return exitFailure
	}
	return nil
}

// reportMissing asks the mirrors for the images, and writes those that are missing.
func reportMissing(ctx context.Context, found *check.Found, out report.Writer, progress *progress) error {
	var pairs []askmirrors.Pair
	for _, image := range found.Mirrored {
		pairs = append(pairs, askmirrors.Pair{From: image.From, To: image.To})
	}
	missing, unasked, err := askMirrors(ctx, pairs, progress)
	if err != nil {
		return err
	}
	for _, i := range missing {
		found.Missing++
		if err := out.Missing(found.Mirrored[i]); err != nil {
			return err
		}
	}
	for _, u := range unasked {
		found.Problems++
		if err := out.Problem(report.Problem{Place: found.Mirrored[u.first].Place, Message: u.String()}); err != nil {
			return err
		}
	}
	return nil
}
