package certgen

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"k8s.io/client-go/rest"
)

// session is what a run of a command works with.
type session struct {
	apiClients
	servers  func(context.Context) ([]apiServer, error) // all API servers
	dial     Dial
	now      func() time.Time
	interval time.Duration // between two attempts
	// Limits of waiting; see the constants.
	replicaLimit, secretLimit, watchLimit time.Duration
	out                                   io.Writer // gets the results
	progress                              io.Writer // gets the progress of what takes long
}

// requestLimit is how long one request to an API server may take.
const requestLimit = 30 * time.Second

func newSession(w Worker) (session, error) {
	config := rest.CopyConfig(w.Config)
	config.WarningHandler = rest.NoWarnings{} // the webhook warns about probe pods
	if config.Timeout == 0 {
		config.Timeout = requestLimit
	}
	api, err := connect(config)
	if err != nil {
		return session{}, err
	}
	s := session{
		apiClients: api,
		servers:    func(ctx context.Context) ([]apiServer, error) { return listAPIServers(ctx, api, config) },
		dial:       w.Dial,
		now:        time.Now,
		interval:   time.Second, replicaLimit: replicaLimit, secretLimit: secretLimit, watchLimit: watchLimit,
		out:      w.Stdout,
		progress: w.Stderr,
	}
	if s.dial == nil {
		s.dial = (&net.Dialer{Timeout: 3 * time.Second}).DialContext
	}
	return s, nil
}

// report prints one result.
func (s session) report(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// sleep waits, and returns an error if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// try calls attempt until it succeeds, or until a time limit is over. Then it returns the error of
// the last attempt.
func (s session) try(ctx context.Context, limit time.Duration, attempt func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := attempt()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if sleep(ctx, s.interval) != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
	}
}
