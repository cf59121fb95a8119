// Package certgen gives an admission webhook a TLS certificate and registers its CA
// with the API server. The Jobs and the CronJob in deploy/ run it: create writes a Secret
// with a valid certificate; patch writes the Secret's CA, and then the failure policy, into
// the webhook configurations; renew does both again when it is necessary.
//
// All commands can be repeated, killed at any time, and run concurrently and in any order.
// They change only what is wrong, and every write names the version that it is based on.
//
// A webhook that does not answer must never block a cluster. So
//
//   - no server uses a certificate before all API servers trust its CA, and no API server loses a
//     CA that a server still needs;
//   - Fail is set last, and only after every API server has got a verdict from the webhook.
//
// The package must never store a CA's private key, publish anything except certificates as a
// CA, or write other objects than the Secret and the webhook configurations.
package certgen

import (
	"context"
	"io"
	"net"

	"k8s.io/client-go/rest"
)

// Dial connects to a webhook's server, like net.Dialer.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Worker runs the commands.
type Worker struct {
	Config *rest.Config // for the API server
	Dial   Dial         // if nil, connects over the network, as in a pod
	Stdout io.Writer    // gets the results
	Stderr io.Writer    // gets the progress
}

// Do runs a Create, a Patch or a Renew. It does nothing for nil, which Parse returns for a
// request for help.
func (w Worker) Do(ctx context.Context, command Command) error {
	if command == nil {
		return nil
	}
	s, err := newSession(w)
	if err != nil {
		return err
	}
	switch c := command.(type) {
	case Create:
		_, err = s.create(ctx, c)
	case Patch:
		err = s.patch(ctx, c)
	case Renew:
		err = s.renew(ctx, c)
	}
	return err
}
