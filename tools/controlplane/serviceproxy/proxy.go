// Package serviceproxy connects an API server without nodes to the programs on this machine that
// replace its Services. It does not know Kubernetes objects: a Service is only an address.
//
// The API server uses the proxy through its egress selector: it sends an HTTP CONNECT for each
// connection to a Service. As in a cluster, webhook configurations can name Services, and
// certificates for Service names are valid.
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

// Proxy forwards connections to the addresses of Services to programs.
type Proxy struct {
	listener net.Listener
	server   *http.Server

	mu     sync.Mutex
	routes map[string]string // address of the program by address of the Service
}

// Listen starts a proxy without routes. The caller must close it. The name must be unique on this
// machine.
func Listen(name string) (*Proxy, error) {
	// An abstract socket leaves no file behind, and has no path that can be too long.
	l, err := net.Listen("unix", "@image-webhook/"+name)
	if err != nil {
		return nil, fmt.Errorf("start the proxy for Services: %w", err)
	}
	p := &Proxy{listener: l, routes: map[string]string{}}
	p.server = &http.Server{Handler: http.HandlerFunc(p.connect)}
	go func() { _ = p.server.Serve(l) }() // returns after Close
	return p, nil
}

// Close ends the proxy. Open connections stay open.
func (p *Proxy) Close() error { return p.server.Close() }

// Route forwards connections to an address of a Service, HOST:PORT, to the address of a program.
func (p *Proxy) Route(service, program string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes[service] = program
}

// Dial connects to the program that replaces a Service, HOST:PORT.
func (p *Proxy) Dial(ctx context.Context, network, service string) (net.Conn, error) {
	p.mu.Lock()
	program, ok := p.routes[service]
	p.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no program runs for Service %q", service)
	}
	return (&net.Dialer{}).DialContext(ctx, network, program)
}

// EgressSelector returns the configuration that makes the API server use the proxy.
func (p *Proxy) EgressSelector() string {
	return fmt.Sprintf(`apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
  - name: cluster
    connection:
      proxyProtocol: HTTPConnect
      transport:
        uds:
          udsName: %q
`, p.listener.Addr())
}

// connect answers a CONNECT, and then forwards in both directions.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "use method CONNECT", http.StatusMethodNotAllowed)
		return
	}
	program, err := p.Dial(r.Context(), "tcp", r.Host)
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
		copyBothDirections(caller, program)
	}
}

// copyBothDirections copies until both connections have ended.
func copyBothDirections(a, b net.Conn) {
	var copying sync.WaitGroup
	copying.Go(func() { copyDirection(a, b) })
	copying.Go(func() { copyDirection(b, a) })
	copying.Wait()
}

// copyDirection copies from source to target and forwards the end. On an error it closes both
// connections.
func copyDirection(target, source net.Conn) {
	_, err := io.Copy(target, source)
	if half, ok := target.(interface{ CloseWrite() error }); ok {
		err = errors.Join(err, half.CloseWrite())
	}
	if err != nil {
		target.Close()
		source.Close()
	}
}
