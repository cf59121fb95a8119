// Certgen gives an admission webhook its TLS certificate and the API server
// the CA to trust it by. It is what the two Jobs of deploy/ run:
//
//	certgen create  the Secret with ca, cert and key, made or repaired
//	certgen patch   that ca into the webhook configurations, then their
//	                failure policy
//
// Flags and Secret keys are those of the retired kube-webhook-certgen, so that
// either image works with the same arguments. Both verbs may be run again at
// any time, also two at once: what is as it should be is left alone, and a
// write names the version that it was decided on.
//
// A failure policy of Fail is set last, and only once the server has answered
// over TLS under exactly the CA that the API server is told to trust: a
// webhook that does not answer must not be able to lock a cluster.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/image-webhook/image-webhook/tools/certgen/verb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 2 for a command line that is not understood, 1
// for a command that could not be carried out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	parsed, err := verb.Parse(args, stdout)
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

func carryOut(ctx context.Context, parsed verb.Command, stdout, stderr io.Writer) error {
	switch c := parsed.(type) {
	case verb.Create:
		api, err := connect(c.Kubeconfig)
		if err != nil {
			return err
		}
		return create(ctx, api.secrets, c, time.Now, stdout)
	case verb.Patch:
		api, err := connect(c.Kubeconfig)
		if err != nil {
			return err
		}
		return patch(ctx, api, c, newProver(c.Timeout, stderr), stdout)
	}
	return nil // help was asked for and given
}
