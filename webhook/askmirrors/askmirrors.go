// Package askmirrors asks mirrors whether they have images. It runs on a user's machine: the server asks
// nobody.
//
// It sends one HEAD request for each image, and the requests that log in to the registry, with the
// credentials of Docker or Podman. It never downloads an image, and asks for the digest of an image that
// has a tag too. It gives up on a mirror that fails several times in a row. Like crane, it uses plain HTTP only for
// local registries: localhost, loopback and private addresses, and names that end in .local.
package askmirrors

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// Pair is an image and its name on a mirror.
type Pair struct {
	From string // the complete reference of the original image
	To   string // the reference on the mirror
}

// Result is the answer about a pair.
type Result struct {
	Pair
	Missing bool  // the mirror answered that it does not have the image
	Err     error // the mirror could not be asked, and what to do about it; it does not name the image
}

// Options limit what Ask does. Zero values have defaults.
type Options struct {
	Parallel int           // maximum number of simultaneous requests; default: 8
	Timeout  time.Duration // for each image, including retries; default: 10s
	// Progress is called after each image, never concurrently. The total counts different images.
	Progress func(done, total int)
}

const (
	defaultParallel = 8
	defaultTimeout  = 10 * time.Second
	// maxFailures is the number of consecutive failures of a mirror after which Ask gives up on it.
	// Otherwise a mirror that is down would cost the timeout for each image.
	maxFailures = 3
)

// retries limits the repetition of a request that failed for a moment: the client of the registry repeats
// it once.
var retries = remote.Backoff{Duration: 500 * time.Millisecond, Factor: 1, Jitter: 0.1, Steps: 2}

// Ask returns the answers in the order of pairs. It asks about each different image on a mirror once. If
// the context ends, the images that were not asked about have its error.
func Ask(ctx context.Context, pairs []Pair, o Options) []Result {
	a := newAsker(o)
	answers := make(map[string]*Result, len(pairs))
	var images []string
	for _, p := range pairs {
		if answers[p.To] == nil {
			answers[p.To] = &Result{}
			images = append(images, p.To)
		}
	}
	a.askAll(ctx, images, answers)
	results := make([]Result, len(pairs))
	for i, p := range pairs {
		results[i] = *answers[p.To]
		results[i].Pair = p
	}
	return results
}

// asker asks about images, several at the same time.
type asker struct {
	Options
	transport http.RoundTripper
	keychain  *keychain

	mu    sync.Mutex // guards done, calls of Progress, and hosts
	done  int
	hosts map[string]*host
}

// host is what is known about the registry of a mirror.
type host struct {
	failures int   // consecutive
	gaveUp   error // nil: ask it
}

func newAsker(o Options) *asker {
	o.Parallel = cmp.Or(o.Parallel, defaultParallel)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Parallel
	return &asker{Options: o, transport: transport, keychain: &keychain{}, hosts: map[string]*host{}}
}

// askAll stores the answer about each image.
func (a *asker) askAll(ctx context.Context, images []string, answers map[string]*Result) {
	var running errgroup.Group
	running.SetLimit(a.Parallel)
	for _, image := range images {
		answer := answers[image]
		running.Go(func() error {
			answer.Missing, answer.Err = a.ask(ctx, image)
			a.progress(len(images))
			return nil
		})
	}
	_ = running.Wait() // the answers have the errors
}

func (a *asker) progress(total int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done++
	if a.Progress != nil {
		a.Progress(a.done, total)
	}
}

// ask asks a mirror about an image, unless the mirror does not answer.
func (a *asker) ask(ctx context.Context, image string) (missing bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("interrupted: %w", err)
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		return false, fmt.Errorf("%q is not the name of an image on a registry: change the mirror rule", image)
	}
	registry := ref.Context().RegistryStr()
	if err := a.gaveUp(registry); err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	err = a.head(limited, ref)
	if ctx.Err() != nil && err != nil {
		return false, fmt.Errorf("interrupted: %w", ctx.Err())
	}
	o := evaluate(registry, a.Timeout, err)
	return o.missing, a.count(registry, o)
}

// head returns nil if the mirror has the image. It uses the credentials of the registry. If there are none
// and the mirror requires some, it uses those of the repository, which Podman can have.
func (a *asker) head(ctx context.Context, ref name.Reference) error {
	auth, err := a.keychain.registry(ref.Context().Registry)
	if err != nil {
		return err
	}
	err = a.headAs(ctx, ref, auth)
	if auth != authn.Anonymous || !isRefusal(err) {
		return err
	}
	own, ownErr := resolve(ref.Context())
	if ownErr != nil || own == authn.Anonymous {
		return err
	}
	return a.headAs(ctx, ref, own)
}

func (a *asker) headAs(ctx context.Context, ref name.Reference, auth authn.Authenticator) error {
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(a.transport), remote.WithAuth(auth),
		remote.WithRetryBackoff(retries), remote.WithUserAgent("image-webhook"),
	}
	_, err := remote.Head(ref, options...)
	if err != nil && isIncomplete(err) {
		_, err = remote.Get(ref, options...)
	}
	return err
}

func (a *asker) gaveUp(registry string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.hosts[registry]; h != nil {
		return h.gaveUp
	}
	return nil
}

// count counts the consecutive failures of a mirror, and returns the error of the outcome. After
// maxFailures it gives up on the mirror.
func (a *asker) count(registry string, o outcome) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.hosts[registry]
	if h == nil {
		h = &host{}
		a.hosts[registry] = h
	}
	switch h.failures++; {
	case !o.failed:
		h.failures = 0
	case h.failures == maxFailures:
		h.gaveUp = o.err
	}
	return o.err
}
