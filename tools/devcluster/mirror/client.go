package mirror

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/devcluster/singlepod"
	"github.com/image-webhook/image-webhook/tools/podport"
)

// registryPort is the port of a registry's pod.
const registryPort = 5000

// requestLimit is the time limit of a request to a registry.
const requestLimit = time.Minute

// Client is a client of a registry in the cluster. It uses a forwarded port on this machine's
// loopback interface, which the kernel chooses.
type Client struct {
	registry string // name of the registry
	address  string // host and forwarded port
	auth     authn.Authenticator
	stop     func() // stops forwarding
}

// Connect forwards a port to the named registry.
func Connect(ctx context.Context, config *rest.Config, registryName string) (*Client, error) {
	address, stop, err := forwardPort(ctx, config, registryName)
	if err != nil {
		return nil, fmt.Errorf("connect to the registry %s: %w: run `kubectl get pods -n %s` for details", registryName, err, Namespace)
	}
	return &Client{registry: registryName, address: address, auth: authn.Anonymous, stop: stop}, nil
}

// WithPassword returns a client that uses the same connection and sends a password.
func (c *Client) WithPassword(user, password string) *Client {
	authenticated := *c
	authenticated.auth = &authn.Basic{Username: user, Password: password}
	return &authenticated
}

// Close stops forwarding the port.
func (c *Client) Close() { c.stop() }

// Push pushes image to the registry as ref, a repository and a tag. It does not send layers
// that the registry already has.
func (c *Client) Push(ctx context.Context, ref string, image v1.Image) error {
	tag, err := c.tag(ref)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestLimit, fmt.Errorf("no answer after %s", requestLimit))
	defer cancel()
	if err := remote.Write(tag, image, remote.WithContext(ctx), remote.WithAuth(c.auth), remote.WithTransport(loopback())); err != nil {
		return fmt.Errorf("push %s to the registry %s: %w: run `kubectl logs -n %s deployment/%s` for details",
			ref, c.registry, err, Namespace, c.registry)
	}
	return nil
}

// Digest returns the digest of ref in the registry, such as "sha256:…".
func (c *Client) Digest(ctx context.Context, ref string) (string, error) {
	tag, err := c.tag(ref)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestLimit, fmt.Errorf("no answer after %s", requestLimit))
	defer cancel()
	descriptor, err := remote.Head(tag, remote.WithContext(ctx), remote.WithAuth(c.auth), remote.WithTransport(loopback()))
	if err != nil {
		return "", fmt.Errorf("get the digest of %s from the registry %s: %w", ref, c.registry, err)
	}
	return descriptor.Digest.String(), nil
}

// loopback returns a transport that verifies no certificate, because that of a registry is for another
// host than the forwarded port.
func loopback() http.RoundTripper {
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return transport
}

func (c *Client) tag(ref string) (name.Tag, error) {
	return name.NewTag(c.address+"/"+ref, name.StrictValidation, name.Insecure)
}

// forwardPort forwards a port of this machine to the registry's pod.
func forwardPort(ctx context.Context, config *rest.Config, registryName string) (address string, stop func(), err error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", nil, err
	}
	pod, err := singlepod.Deployment{Client: client, Namespace: Namespace, Name: registryName}.ReadyPod(ctx)
	if err != nil {
		return "", nil, err
	}
	return podport.Forward(ctx, config, Namespace, pod, registryPort)
}
