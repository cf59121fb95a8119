// Command kubectl-image_webhook is a plugin of kubectl for administrators of image-webhook. It
// runs on their machines, never in a cluster:
//
//	kubectl image-webhook status  says what is wrong with the installation, and how to fix it
//
// It exits with 2 for an invalid command line or kubeconfig, with 1 if the installation is not
// healthy, and with 0 otherwise.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/image-webhook/image-webhook/webhook/buildversion"
)

const program = "kubectl image-webhook"

const (
	exitFailure = 1
	exitUsage   = 2
)

// version is set by the linker in releases: see gobuild.VersionFlags.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program immediately.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	klog.SetLogger(logr.Discard()) // errors of client-go are part of the output
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	c, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUnhealthy):
		return exitFailure // the output says why
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "%s: interrupted\n", program)
		return exitFailure
	}
	fmt.Fprintf(stderr, "%s: %v: see %s --help\n", program, err, c.CommandPath())
	return exitUsage
}

const examples = `  # Check the installation in kubectl's current context
  kubectl image-webhook status`

// newRoot returns the root command. Each verb has its own file.
func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:                   "kubectl-image_webhook",
		Annotations:           map[string]string{cobra.CommandDisplayNameAnnotation: program},
		Short:                 "Check an installation of image-webhook",
		Version:               buildversion.Of(version),
		Example:               examples,
		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		SilenceErrors:         true,
		DisableSuggestions:    true, // they would add lines
		RunE:                  func(*cobra.Command, []string) error { return errors.New("no command: use status") },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(newStatus())
	return root
}
