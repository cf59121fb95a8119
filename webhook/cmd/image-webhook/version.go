package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/webhook/buildversion"
)

// version is set by the linker in releases: see gobuild.VersionFlags.
var version string

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of image-webhook, the Go version and the platform",
		Example: `  # Print the version of this program
  image-webhook version

  # Print the version of the program in a cluster
  kubectl exec -n image-webhook deployment/webhook -- /image-webhook version`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return printVersion(c.OutOrStdout())
		},
	}
}

func printVersion(out io.Writer) error {
	_, err := fmt.Fprintf(out, "image-webhook %s %s %s/%s\n", buildversion.Of(version), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
