// Package apiservers finds all API servers of a cluster: a client that has a load balancer as its address
// talks to only one of them.
package apiservers

import (
	"fmt"
	"net"
	"strconv"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// Slice is the name of the EndpointSlice with the addresses of the API servers, in the namespace default.
const Slice = "kubernetes"

// Server is an API server.
type Server struct {
	Address string       // HOST:PORT
	Config  *rest.Config // that connects to it directly
}

// List returns the API servers in an EndpointSlice. A load balancer in front of the API servers, as managed
// clusters have, counts as one. Without addresses, the configured one is the only one.
func List(slice *discoveryv1.EndpointSlice, config *rest.Config) ([]Server, error) {
	configured, _, err := rest.DefaultServerURL(config.Host, "", schema.GroupVersion{}, true)
	if err != nil {
		return nil, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	var servers []Server
	for _, address := range Addresses(slice) {
		direct := rest.CopyConfig(config)
		direct.Host = "https://" + address
		if direct.ServerName == "" {
			direct.ServerName = configured.Hostname() // the certificates of all API servers are valid for it
		}
		servers = append(servers, Server{address, direct})
	}
	if len(servers) == 0 {
		servers = []Server{{configured.Host, config}} // it may be a load balancer
	}
	return servers, nil
}

// Addresses returns HOST:PORT for each address of a slice.
func Addresses(slice *discoveryv1.EndpointSlice) []string {
	var found []string
	for _, port := range slice.Ports {
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				if port.Port != nil {
					found = append(found, net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
				}
			}
		}
	}
	return found
}
