// Command kubectl-image_webhook is a plugin of kubectl for users and administrators of image-webhook. It
// runs on their machines, never in a cluster:
//
//	kubectl image-webhook check    finds images in manifests that the webhook would deny
//	kubectl image-webhook audit    finds images in a cluster that it would deny today
//	kubectl image-webhook explain  shows which rules match an image
//	kubectl image-webhook policy   writes a policy file as policies of the API server
//	kubectl image-webhook status   says what is wrong with the installation, and how to fix it
//
// It exits with 2 for an invalid command line or kubeconfig, or if something could not be read, with 1
// if the installation is not healthy or an image is not allowed, and with 0 otherwise.
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

// exitCode is the error of a verb whose output says everything.
type exitCode int

const (
	exitFailure exitCode = 1 // unhealthy, or an image is not allowed
	exitUsage   exitCode = 2 // invalid command line, or something could not be read
)

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

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
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "%s: interrupted\n", program)
		return int(exitFailure)
	}
	fmt.Fprintf(stderr, "%s: %v: see %s --help\n", program, err, c.CommandPath())
	return int(exitUsage)
}

const examples = `  # Find images in manifests that the webhook would deny
  kubectl image-webhook check deploy --config=policy.yaml

  # Find running pods that would be denied today
  kubectl image-webhook audit

  # Explain what happens to an image
  kubectl image-webhook explain nginx

  # Deny and mirror without a webhook
  kubectl image-webhook policy --config=policy.yaml | kubectl apply -f -

  # Check the installation in kubectl's current context
  kubectl image-webhook status`

// newRoot returns the root command. Each verb has its own file.
func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:                   "kubectl-image_webhook",
		Annotations:           map[string]string{cobra.CommandDisplayNameAnnotation: program},
		Short:                 "Check images in manifests and clusters, and an installation of image-webhook",
		Version:               buildversion.Of(version),
		Example:               examples,
		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		SilenceErrors:         true,
		DisableSuggestions:    true, // they would add lines
		RunE: func(*cobra.Command, []string) error {
			return errors.New("no command: use check, audit, explain, policy or status")
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(newCheck(), newAudit(), newExplain(), newPolicy(), newStatus())
	return root
}
