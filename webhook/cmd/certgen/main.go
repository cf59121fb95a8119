// Command certgen gives an admission webhook a TLS certificate and registers its CA
// with the API server. The Jobs in deploy/ run it:
//
//	certgen create  creates or repairs the Secret with ca, cert and key
//	certgen patch   writes this ca, and then the failure policy, into the webhook
//	                configurations
//
// It has the flags and Secret keys of the retired kube-webhook-certgen, so that the
// manifests also work with its image. Package certgen does the work.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/image-webhook/image-webhook/webhook/certgen"
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
	config, err := loadConfig(command.KubeconfigPath())
	if err != nil {
		return fmt.Errorf("cannot load a cluster configuration: %w: run in a pod with a service account token, or set --kubeconfig", err)
	}
	return certgen.Worker{Config: config, Stdout: stdout, Stderr: stderr}.Do(ctx, command)
}

// loadConfig returns the configuration for the API server: from the kubeconfig file if
// one is given, else from the pod's service account, else from kubectl's file.
func loadConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if !errors.Is(err, rest.ErrNotInCluster) {
			return config, err
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}
