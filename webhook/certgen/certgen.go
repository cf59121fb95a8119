// Package certgen gives an admission webhook a TLS certificate and registers its CA
// with the API server. The Jobs in deploy/ run it: create writes a Secret with a
// valid certificate; patch writes the Secret's CA, and then the failure policy, into
// the webhook configurations.
//
// Both commands can be repeated and can run concurrently. They change only what is
// wrong, and every write names the version that it is based on.
//
// A webhook that does not answer must never block a cluster. So patch sets the
// failure policy Fail last, and only after the server has answered over TLS with
// exactly the CA that the API server will trust.
//
// The package must never store a CA's private key, publish anything except
// certificates as a CA, or write other objects than the Secret and the webhook
// configurations that a command names.
package certgen

import (
	"context"
	"io"
	"net"
	"time"

	"k8s.io/client-go/rest"
)

// Dial connects to a webhook's server, like net.Dialer.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Worker runs the commands of the Jobs.
type Worker struct {
	Config *rest.Config // for the API server
	Dial   Dial         // if nil, connects over the network, as in a pod
	Stdout io.Writer    // gets the results
	Stderr io.Writer    // gets the progress
}

// Do runs a Create or a Patch. It does nothing for nil, which Parse returns for a
// request for help.
func (w Worker) Do(ctx context.Context, command Command) error {
	api, err := connect(w.Config)
	if err != nil {
		return err
	}
	switch c := command.(type) {
	case Create:
		return create(ctx, api.secrets, c, time.Now, w.Stdout)
	case Patch:
		return patch(ctx, api, c, newSecretWaiter(w.Stderr), newProber(c.Timeout, w.Dial, w.Stderr), w.Stdout)
	}
	return nil
}
