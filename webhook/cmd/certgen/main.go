// Certgen gives an admission webhook its TLS certificate and the API server
// the CA to trust it by. It is what the two Jobs of deploy/ run:
//
//	certgen create  the Secret with ca, cert and key, made or repaired
//	certgen patch   that ca into the webhook configurations, then their
//	                failure policy
//
// Flags and Secret keys are those of the retired kube-webhook-certgen, so that
// either image works with the same arguments. What the verbs do is in package jobs.
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

// run returns the exit code: 2 for a command line that is not understood, 1
// for a command that could not be carried out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	parsed, err := certgen.Parse(args, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "certgen: %v\n", err)
		return 2
	}
	if err := carryOut(ctx, parsed, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "certgen: %v\n", err)
		return 1
	}
	return 0
}

func carryOut(ctx context.Context, parsed certgen.Command, stdout, stderr io.Writer) error {
	if parsed == nil {
		return nil // help was asked for and given
	}
	config, err := loadConfig(parsed.KubeconfigPath())
	if err != nil {
		return fmt.Errorf("no cluster to talk to: %w: run in a Pod with a service account token or give --kubeconfig", err)
	}
	return certgen.Worker{Config: config, Stdout: stdout, Stderr: stderr}.Do(ctx, parsed)
}

// loadConfig reads how to reach the API server: as a Pod does, unless a kubeconfig
// is given or there is no Pod.
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
