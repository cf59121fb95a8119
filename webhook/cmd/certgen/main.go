// Command certgen gives an admission webhook a TLS certificate and registers its CA
// with the API server. The Jobs and the CronJob in deploy/ run it:
//
//	certgen create  creates or repairs the Secret with ca, cert and key
//	certgen patch   writes this ca, and then the failure policy, into the webhook
//	                configurations
//	certgen renew   does both again when it is necessary
//
// It has the flags and Secret keys of the retired kube-webhook-certgen, so that the
// manifests also work with its image. Package certgen does the work.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/image-webhook/image-webhook/webhook/certgen"
	"github.com/image-webhook/image-webhook/webhook/kubeconfig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 2 for a usage error, 1 for a command that failed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command, err := certgen.Parse(args, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "certgen: %v\n", err)
		return 2
	}
	if err := execute(ctx, command, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "certgen: %v\n", err)
		return 1
	}
	return 0
}

func execute(ctx context.Context, command certgen.Command, stdout, stderr io.Writer) error {
	if command == nil {
		return nil // Parse has written the help
	}
	config, err := kubeconfig.Load(command.KubeconfigPath())
	if err != nil {
		return err
	}
	return certgen.Worker{Config: config, Stdout: stdout, Stderr: stderr}.Do(ctx, command)
}
