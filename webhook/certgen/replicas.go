package certgen

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/apiservers"
)

// replicaLimit is how long the replicas may take to serve a new certificate. The kubelet updates
// a mounted Secret after at most about 100 seconds.
const replicaLimit = 3 * time.Minute

// service is the name of a Service.
type service struct{ namespace, name string }

func (s service) host() string { return s.name + "." + s.namespace + ".svc" }

// replica is a pod behind the Service.
type replica struct {
	address string // HOST:PORT
	host    string // name for which its certificate must be valid
}

// listReplicas returns all endpoints of the Services: also pods that are not ready or are
// terminating, because the API server may still have a connection to them.
func (s session) listReplicas(ctx context.Context, hosts []string) ([]replica, error) {
	services, err := s.findServices(ctx, hosts)
	if err != nil {
		return nil, err
	}
	var replicas []replica
	for service := range services {
		list, err := s.slices.EndpointSlices(service.namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.name})
		if err != nil {
			return nil, explain(err, fmt.Sprintf("EndpointSlices of Service %s/%s", service.namespace, service.name), rightsManifest)
		}
		for _, slice := range list.Items {
			for _, address := range apiservers.Addresses(&slice) {
				replicas = append(replicas, replica{address, service.host()})
			}
		}
	}
	return replicas, nil
}

// servedChain returns the certificates that a replica serves. It does not verify them, and sends
// nothing.
func (s session) servedChain(ctx context.Context, r replica) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	connection, err := s.dial(ctx, "tcp", r.address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return PresentedChain(ctx, connection, r.host)
}

// PresentedChain returns the certificates that a server presents for a host name. It does not
// verify them, because callers must also see invalid ones, and sends no request. The caller must
// close the connection.
func PresentedChain(ctx context.Context, connection net.Conn, host string) ([]*x509.Certificate, error) {
	client := tls.Client(connection, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates, nil
}

// servedChains returns the certificates that all replicas serve, and an error for each replica
// that does not answer.
func (s session) servedChains(ctx context.Context, replicas []replica) (chains [][]*x509.Certificate, err error) {
	for _, r := range replicas {
		chain, failed := s.servedChain(ctx, r)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("replica %s does not answer: %w", r.address, failed))
			continue
		}
		chains = append(chains, chain)
	}
	return chains, err
}

// waitUntilServed waits until all replicas serve the certificate of a Secret. Meanwhile it keeps
// its CA in the caBundles.
func (s session) waitUntilServed(ctx context.Context, hosts []string, data map[string][]byte) error {
	announced := false
	err := s.try(ctx, s.replicaLimit, func() error {
		count, err := s.checkAllServed(ctx, hosts, data)
		switch {
		case err == nil:
			s.report("replicas serve the new certificate: %d", count)
		case !announced:
			announced = true
			fmt.Fprintf(s.progress, "waiting up to %s until all replicas serve the new certificate\n", s.replicaLimit)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("not all replicas serve the new certificate: %w: check their logs; the earlier CA stays in the caBundles until a later run", err)
	}
	return nil
}

// checkAllServed returns the number of replicas if all of them serve the certificate, and all
// caBundles have its CA.
func (s session) checkAllServed(ctx context.Context, hosts []string, data map[string][]byte) (int, error) {
	if _, err := s.publish(ctx, hosts, publishedCAs(data, hosts, s.now())); err != nil {
		return 0, err
	}
	replicas, err := s.listReplicas(ctx, hosts)
	if err != nil {
		return 0, err
	}
	return len(replicas), s.checkServed(ctx, replicas, parseValid(data[certKey]))
}

func (s session) checkServed(ctx context.Context, replicas []replica, want []*x509.Certificate) error {
	for _, r := range replicas {
		chain, err := s.servedChain(ctx, r)
		if err != nil {
			return fmt.Errorf("replica %s does not answer: %w", r.address, err)
		}
		if len(want) == 0 || !bytes.Equal(chain[0].Raw, want[0].Raw) {
			return fmt.Errorf("replica %s serves another certificate", r.address)
		}
	}
	return nil
}
