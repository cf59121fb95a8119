// Package services leads connections to the Services of an API server that has no
// nodes to programs on this machine, in the place of a cluster's network.
//
// The API server hands over what it would dial itself, by its egress selector: an
// HTTP CONNECT for every connection to a Service. So what is registered with the
// API server needs no change: it names Services, under their own certificates.
package serviceproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// Network knows which program stands behind which address of a Service.
type Network struct {
	listener net.Listener
	server   *http.Server

	mu     sync.Mutex
	routes map[string]string
}

// Listen makes a network without Services, to be closed. name tells it from others
// on this machine.
func Listen(name string) (*Network, error) {
	// An abstract socket: no file that could be left, or whose path could be too long.
	l, err := net.Listen("unix", "@image-webhook/"+name)
	if err != nil {
		return nil, fmt.Errorf("listen for the API server: %w", err)
	}
	n := &Network{listener: l, routes: map[string]string{}}
	n.server = &http.Server{Handler: http.HandlerFunc(n.connect)}
	go func() { _ = n.server.Serve(l) }() // until Close
	return n, nil
}

// Close ends the network; connections that are open stay so.
func (n *Network) Close() error { return n.server.Close() }

// Route leads connections to an address of a Service, HOST:PORT, to another one.
func (n *Network) Route(service, local string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.routes[service] = local
}

// Dial connects to an address of a Service.
func (n *Network) Dial(ctx context.Context, network, service string) (net.Conn, error) {
	n.mu.Lock()
	local, ok := n.routes[service]
	n.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("nothing stands behind %s", service)
	}
	return (&net.Dialer{}).DialContext(ctx, network, local)
}

// EgressSelector is the configuration by which the API server uses the network.
func (n *Network) EgressSelector() string {
	return fmt.Sprintf(`apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
  - name: cluster
    connection:
      proxyProtocol: HTTPConnect
      transport:
        uds:
          udsName: %q
`, n.listener.Addr())
}

// connect answers a CONNECT and then carries what both sides say.
func (n *Network) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT is answered here", http.StatusMethodNotAllowed)
		return
	}
	program, err := n.Dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer program.Close()
	caller, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer caller.Close()
	if _, err := io.WriteString(caller, "HTTP/1.1 200 OK\r\n\r\n"); err == nil {
		carry(caller, program)
	}
}

// carry copies in both directions until both have ended.
func carry(a, b net.Conn) {
	var copying sync.WaitGroup
	copying.Go(func() { forward(a, b) })
	copying.Go(func() { forward(b, a) })
	copying.Wait()
}

// forward copies one direction, and hands its end on. A connection that fails
// ends both ways.
func forward(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		err = errors.Join(err, half.CloseWrite())
	}
	if err != nil {
		to.Close()
		from.Close()
	}
}
