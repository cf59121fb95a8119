package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
)

// answerLimit is for a registry that was reached and says nothing. The samples are
// a few MiB.
const answerLimit = time.Minute

// Client speaks with a registry in the cluster from outside of it, through a
// forwarded port of this machine's loopback that the kernel chooses: none has to
// be free.
type Client struct {
	registry string // the name of the registry
	address  string // host:port of the forwarded port
	auth     authn.Authenticator
	stop     chan struct{}
}

// Connect forwards a port to the registry called registryName.
func Connect(ctx context.Context, config *rest.Config, registryName string) (*Client, error) {
	port, stop, err := forward(ctx, config, registryName)
	if err != nil {
		return nil, fmt.Errorf("reach the registry %s: %w; `kubectl get pods -n %s` shows it", registryName, err, Namespace)
	}
	return &Client{registry: registryName, address: fmt.Sprintf("127.0.0.1:%d", port), auth: authn.Anonymous, stop: stop}, nil
}

// WithPassword is the same connection for a registry that asks who is there.
func (c *Client) WithPassword(user, password string) *Client {
	known := *c
	known.auth = &authn.Basic{Username: user, Password: password}
	return &known
}

// Close ends the forwarding.
func (c *Client) Close() { close(c.stop) }

// Push brings image into the registry as ref, a repository and a tag. Of its
// content, what the registry has already is not sent again.
func (c *Client) Push(ctx context.Context, ref string, image v1.Image) error {
	tag, err := c.tag(ref)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("no answer after %s", answerLimit))
	defer cancel()
	if err := remote.Write(tag, image, remote.WithContext(ctx), remote.WithAuth(c.auth)); err != nil {
		return fmt.Errorf("push %s to the registry %s: %w; its side: `kubectl logs -n %s deployment/%s`",
			ref, c.registry, err, Namespace, c.registry)
	}
	return nil
}

// Digest is what the registry has under ref, as "sha256:…".
func (c *Client) Digest(ctx context.Context, ref string) (string, error) {
	tag, err := c.tag(ref)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("no answer after %s", answerLimit))
	defer cancel()
	found, err := remote.Head(tag, remote.WithContext(ctx), remote.WithAuth(c.auth))
	if err != nil {
		return "", fmt.Errorf("ask the registry %s for %s: %w", c.registry, ref, err)
	}
	return found.Digest.String(), nil
}

func (c *Client) tag(ref string) (name.Tag, error) {
	return name.NewTag(c.address+"/"+ref, name.StrictValidation, name.Insecure)
}

// forward returns the port of this machine that leads to the registry's pod until
// stop is closed, or the pod ends.
func forward(ctx context.Context, config *rest.Config, registryName string) (port uint16, stop chan struct{}, err error) {
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := newForwarder(ctx, config, registryName, stop, ready)
	if err != nil {
		return 0, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case err := <-ended:
		return 0, nil, fmt.Errorf("forward a port: %w", err)
	case <-ctx.Done():
		close(stop)
		return 0, nil, context.Cause(ctx)
	case <-ready:
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		close(stop)
		return 0, nil, err
	}
	return ports[0].Local, stop, nil
}

func newForwarder(ctx context.Context, config *rest.Config, registryName string, stop, ready chan struct{}) (*portforward.PortForwarder, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	pod, err := readyPod(ctx, client, registryName)
	if err != nil {
		return nil, err
	}
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(Namespace).Name(pod).SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:5000"}, stop, ready, io.Discard, io.Discard)
}

// readyPod is the name of the pod that serves the registry.
func readyPod(ctx context.Context, client kubernetes.Interface, registryName string) (string, error) {
	found, err := pods(ctx, client, registryName)
	if err != nil {
		return "", err
	}
	for _, pod := range found {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				return pod.Name, nil
			}
		}
	}
	reason, _ := whyNotReady(found)
	return "", errors.New("it is not ready: " + reason)
}
