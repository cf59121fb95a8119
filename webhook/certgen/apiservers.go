package certgen

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/apiservers"
)

const (
	// defaultSettle is how long the API servers must have had a new CA before a server may use
	// it. Each API server calls webhooks with the state of its own watch, which follows the watch
	// cache that certgen reads within milliseconds. If that watch breaks, the API server
	// connects again after at most 60 seconds: client-go's reflector waits up to 30 seconds, and
	// doubles that at random.
	defaultSettle = time.Minute

	// watchLimit is how long an API server may take to have a change in its watch cache.
	watchLimit = time.Minute
)

// apiServer is one of the API servers of the cluster.
type apiServer struct {
	address string
	apiClients
}

// listAPIServers returns a client for each API server in the EndpointSlice of the Service
// kubernetes, or for the configured address without it.
func listAPIServers(ctx context.Context, api apiClients, config *rest.Config) ([]apiServer, error) {
	slice, err := api.slices.EndpointSlices(metav1.NamespaceDefault).Get(ctx, apiservers.Slice, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, explain(err, "EndpointSlice default/kubernetes", rightsManifest)
	}
	found, err := apiservers.List(slice, config)
	if err != nil {
		return nil, err
	}
	var servers []apiServer
	for _, server := range found {
		client, err := connect(server.Config)
		if err != nil {
			return nil, err
		}
		servers = append(servers, apiServer{server.Address, client})
	}
	return servers, nil
}

// settle returns when all API servers have had the CAs in the configurations for a time, with
// which they then verify the servers. If another client removes a CA meanwhile, settle publishes
// it again and starts again, but only maxSettles times.
func (s session) settle(ctx context.Context, hosts []string, cas []*x509.Certificate, duration time.Duration) error {
	for range maxSettles {
		count, err := s.waitUntilWatched(ctx, hosts, cas)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.progress, "waiting %s until all API servers use the new CA\n", duration)
		if err := sleep(ctx, duration); err != nil {
			return fmt.Errorf("interrupted while waiting for the API servers: %w", err)
		}
		changed, err := s.publish(ctx, hosts, cas)
		if err != nil {
			return err
		}
		if !changed {
			s.report("settled: API servers that have the new CA for %s: %d", duration, count)
			return nil
		}
	}
	return errors.New("the new CA was removed from the webhook configurations again and again: find the client that sets caBundle, for example with kubectl get --show-managed-fields, and let it leave the field out")
}

const maxSettles = 3

// waitUntilWatched waits until the watch cache of each API server has the CAs in all
// configurations. It returns the number of API servers.
func (s session) waitUntilWatched(ctx context.Context, hosts []string, cas []*x509.Certificate) (int, error) {
	servers, err := s.servers(ctx)
	if err != nil {
		return 0, err
	}
	for _, server := range servers {
		err := s.try(ctx, s.watchLimit, func() error { return server.checkWatched(ctx, hosts, cas) })
		if err != nil {
			return 0, fmt.Errorf("API server %s does not have the new CA: %w: check that this pod can reach all API servers; the next run tries again", server.address, err)
		}
	}
	return len(servers), nil
}

// checkWatched returns an error unless the watch cache of the API server has the CAs.
func (server apiServer) checkWatched(ctx context.Context, hosts []string, cas []*x509.Certificate) error {
	for _, m := range managedConfigurations(server.webhooks) {
		hooks, err := m.calling(ctx, hosts, metav1.GetOptions{ResourceVersion: "0"}) // 0: from the watch cache
		if err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		for _, hook := range hooks {
			if !containsAll(hook.client.CABundle, cas) {
				return fmt.Errorf("%s: the caBundle of %s is older", m, hook.name)
			}
		}
	}
	return nil
}
