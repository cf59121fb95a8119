// Package jobs is the work of the two Jobs of deploy/: a Secret with a sound
// certificate, and its CA in the webhook configurations, then their failure policy.
//
// Both may be done again at any time, also two at once: what is as it should be is
// left alone, and a write names the version that it was decided on.
//
// A failure policy of Fail is set last, and only once the server has answered
// over TLS under exactly the CA that the API server is told to trust: a
// webhook that does not answer must not be able to lock a cluster.
package certgen

import (
	"context"
	"io"
	"net"
	"time"

	"k8s.io/client-go/rest"
)

// Dial connects to a webhook's server, as a net.Dialer does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Worker does a Job's work where that is to be done.
type Worker struct {
	Config *rest.Config // of the API server
	Dial   Dial         // nil: over the network, as in a pod
	Stdout io.Writer    // what was found and done
	Stderr io.Writer    // what is being waited for
}

// Do carries out a Create or a Patch.
func (w Worker) Do(ctx context.Context, command Command) error {
	api, err := connect(w.Config)
	if err != nil {
		return err
	}
	switch c := command.(type) {
	case Create:
		return create(ctx, api.secrets, c, time.Now, w.Stdout)
	case Patch:
		return patch(ctx, api, c, newSettler(w.Stderr), newProver(c.Timeout, w.Dial, w.Stderr), w.Stdout)
	}
	return nil // help was asked for and given
}
