// Image builds the container image of image-webhook, without a daemon and
// without a base image, into an archive that kind, docker and podman load.
//
// The image holds two static programs, /image-webhook and /certgen. Its
// entrypoint is /certgen: the Jobs of deploy/ give arguments only, so that the
// retired kube-webhook-certgen and this image are exchangeable there. The
// Deployment says `command: ["/image-webhook"]`.
//
// The path, the two references and the size go to standard output, one a line;
// progress goes to standard error.
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
		Short: "Write the webhook's container image into an archive, without a daemon and a base image",
		Example: `  # For this machine's architecture, into the cache folder
  go run ./tools/cmd/image

  # For another one, to be pushed to a registry
  go run ./tools/cmd/image --arch=arm64 --output=image-webhook.tar
  podman load -i image-webhook.tar`,
	}, stdout, stderr, func(c *cobra.Command) error { return build(c.Context(), options, stdout, stderr) })
	root.Flags().StringVar(&options.Arch, "arch", "", "`architecture` as Go names it: amd64, arm64 (default: this machine's)")
	root.Flags().StringVar(&options.Output, "output", "", "the archive, a `file` (default: in the user's cache folder)")
	root.Flags().StringVar(&options.Version, "version", "", "the `version` of a release, such as v1.2.3 (default: none)")
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
