// Command nodeimage builds this project's kind node image, for machines that cannot reach an image
// registry, and prints its reference. The variable K8S chooses the Kubernetes version, such as
// 1.36. See package nodeimage.
package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/nodeimage"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

func main() { cli.Main(newRoot) }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	return cli.New(cli.Text{
		Use:   "nodeimage",
		Short: "Build the kind node image, unless it exists, and print its reference",
		Example: `  # Like "make up" on a machine that cannot reach a registry
  go run ./tools/cmd/nodeimage

  # With packages of another Debian mirror
  DEBIAN_MIRROR=https://debian.example.com/debian go run ./tools/cmd/nodeimage`,
	}, stdout, stderr, func(c *cobra.Command) error {
		ref, err := build(c.Context(), stderr)
		if err == nil {
			fmt.Fprintln(stdout, ref)
		}
		return err
	})
}

func build(ctx context.Context, stderr io.Writer) (string, error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return "", err
	}
	version, err := kubebuild.FindFromEnvironment(root)
	if err != nil {
		return "", err
	}
	report := progress.New(stderr)
	e, err := engine.Ensure(ctx, report)
	if err != nil {
		return "", err
	}
	return nodeimage.Build(ctx, root, version, e, report)
}
