package status

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// forward connects to a port of a pod through the API server, like `kubectl port-forward`, but
// without a port on this machine. The caller must close the connection.
func forward(ctx context.Context, config *rest.Config, pod corev1.Pod, port int32) (*forwardedConn, error) {
	dialer, err := newDialer(ctx, config, pod)
	if err != nil {
		return nil, err
	}
	connection, err := dial(ctx, dialer)
	if err != nil {
		return nil, err
	}
	forwarded, err := openStreams(connection, port)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return forwarded, nil
}

// newDialer returns a dialer that uses SPDY if the API server, or a proxy, does not support
// WebSockets. Kubernetes before 1.31 does not.
func newDialer(ctx context.Context, config *rest.Config, pod corev1.Pod) (httpstream.Dialer, error) {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return withContext{ctx, next} })
	target, err := forwardURL(config, pod)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	secondary := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	primary, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(primary, secondary, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

func forwardURL(config *rest.Config, pod corev1.Pod) (*url.URL, error) {
	core, err := coreclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return core.RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL(), nil
}

// withContext ends the requests of a dialer, which has no context, with a context.
type withContext struct {
	ctx  context.Context
	next http.RoundTripper
}

func (w withContext) RoundTrip(request *http.Request) (*http.Response, error) {
	return w.next.RoundTrip(request.WithContext(w.ctx))
}

// dial returns when ctx ends, even if the API server accepts the connection and never answers.
func dial(ctx context.Context, dialer httpstream.Dialer) (httpstream.Connection, error) {
	type result struct {
		connection httpstream.Connection
		err        error
	}
	dialed := make(chan result)
	go func() {
		connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		select {
		case dialed <- result{connection, err}:
		case <-ctx.Done():
			if err == nil {
				_ = connection.Close()
			}
		}
	}()
	select {
	case r := <-dialed:
		return r.connection, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// openStreams opens the two streams of a forwarded port: for data, and for the error of the node.
func openStreams(connection httpstream.Connection, port int32) (*forwardedConn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failure, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	if err := failure.Close(); err != nil { // only the node writes to it
		return nil, err
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	c := &forwardedConn{Stream: data, connection: connection, failure: make(chan string, 1)}
	go func() {
		message, _ := io.ReadAll(failure) // ends with the connection
		c.failure <- strings.TrimSpace(string(message))
	}()
	return c, nil
}

// forwardedConn is the data stream of a forwarded port as a net.Conn. It has no deadlines: close
// it to end a call.
type forwardedConn struct {
	httpstream.Stream
	connection httpstream.Connection
	failure    chan string // gets the error of the node, or ""
}

// Close closes both streams and the connection to the API server.
func (c *forwardedConn) Close() error { return c.connection.Close() }

// cause returns the error of the node, if it has sent one, instead of err, which it has caused.
func (c *forwardedConn) cause(ctx context.Context, err error) error {
	_ = c.Reset() // lets the node close the other stream
	select {
	case message := <-c.failure:
		if message != "" {
			return errors.New(message)
		}
	case <-ctx.Done():
	}
	return err
}

// LocalAddr, RemoteAddr and the deadlines are not used by a TLS handshake.
func (c *forwardedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *forwardedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *forwardedConn) SetDeadline(time.Time) error      { return nil }
func (c *forwardedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *forwardedConn) SetWriteDeadline(time.Time) error { return nil }
