// Package podport forwards a port of this machine to a pod, like `kubectl port-forward`. It does not
// know what the pod serves.
package podport

import (
	"context"
	"fmt"
	"io"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
)

// Forward forwards a port of the loopback interface, which the kernel chooses, to a port of a pod.
// It returns the address HOST:PORT. The port is forwarded until stop is called or the pod ends.
func Forward(ctx context.Context, config *rest.Config, namespace, pod string, port int) (address string, stop func(), err error) {
	stopped, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := newForwarder(config, namespace, pod, port, stopped, ready)
	if err != nil {
		return "", nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	stop = func() { close(stopped) }
	select {
	case err := <-ended:
		return "", nil, fmt.Errorf("forward a port: %w", err)
	case <-ctx.Done():
		stop()
		return "", nil, context.Cause(ctx)
	case <-ready:
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		stop()
		return "", nil, err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0].Local), stop, nil
}

func newForwarder(config *rest.Config, namespace, pod string, port int, stopped, ready chan struct{}) (*portforward.PortForwarder, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stopped, ready, io.Discard, io.Discard)
}
