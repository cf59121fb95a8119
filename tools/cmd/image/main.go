// Command image writes the container image of image-webhook to an archive that kind, docker and
// podman can load. It needs no container engine and no base image.
//
// The image contains static programs: /image-webhook, /certgen and /namespace-owner. Its
// entrypoint is /certgen, because the Jobs in deploy/ set no command, so that they also work
// with the retired kube-webhook-certgen. The Deployments set a command.
//
// The output has one line each for the path, the two references and the size.
package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

func main() { cli.Main(newRoot) }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var options webhookimage.Options
	root := cli.New(cli.Text{
		Use:   "image",
		Short: "Write the webhook's container image to an archive, without a container engine",
		Example: `  # For this machine's architecture, to the cache directory
  go run ./tools/cmd/image

  # For another architecture, and load it to push it to a registry
  go run ./tools/cmd/image --arch=arm64 --output=image-webhook.tar
  podman load -i image-webhook.tar`,
	}, stdout, stderr, func(c *cobra.Command) error { return build(c.Context(), options, stdout, stderr) })
	root.Flags().StringVar(&options.Arch, "arch", "", "build for this `architecture` of Go, such as amd64 or arm64 (default: this machine's)")
	root.Flags().StringVar(&options.Output, "output", "", "write the archive to this `file` (default: in the user's cache directory)")
	root.Flags().StringVar(&options.Version, "version", "", "set the `version` of a release, such as v1.2.3 (default: none)")
	return root
}

func build(ctx context.Context, options webhookimage.Options, stdout, stderr io.Writer) (err error) {
	if options.Root, err = workspace.Root(ctx); err != nil {
		return err
	}
	image, err := webhookimage.Build(ctx, options, progress.New(stderr))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\n%s\n%s\n%.1f MiB\n", image.Path, image.StaticRef, image.ContentRef, float64(image.Size)/(1<<20))
	return nil
}
