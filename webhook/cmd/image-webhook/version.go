package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in what is released: see gobuild.Versioned.
var version string

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is, and what it was built with",
		Example: `  # Of this program
  image-webhook version

  # Of the one in a cluster
  kubectl exec -n image-webhook deployment/webhook -- /image-webhook version`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return printVersion(c.OutOrStdout())
		},
	}
}

func printVersion(out io.Writer) error {
	_, err := fmt.Fprintf(out, "image-webhook %s %s %s/%s\n", built(version), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// built is the version that the linker was given; else the one that `go install` was,
// or what git knows of a checkout; else "(devel)".
func built(version string) string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
