package integration

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/ownercontroller"
)

// testStaleCache deletes and recreates a namespace while the controller does not see that the old
// objects of one kind were deleted. The new namespace must not be bound before it has a quota of
// its own. Trap: kyverno/kyverno#7145.
func (r *replicas) testStaleCache(t *testing.T) {
	r.kill(t)
	for _, resource := range []string{"/resourcequotas", "/rolebindings"} {
		t.Run(resource[1:], func(t *testing.T) { r.testStaleCacheOf(t, resource) })
	}
}

func (r *replicas) testStaleCacheOf(t *testing.T, resource string) {
	stall := &stalledWatch{resource: resource}
	config := r.As(controllerUser)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &fakeLease{next: roundTripper(func(request *http.Request) (*http.Response, error) { return stall.roundTrip(next, request) })}
	})
	_, stop := r.runController(t, ownercontroller.Options{Config: config, TemplateDir: r.templates, Identity: "stale"})
	name := newName("stale")
	r.createOwned(t, name, "alice")
	r.waitBound(t, name, "alice")
	before := len(r.writes(t, name))

	stall.Lock()
	if err := r.client.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "bob has created the namespace again", func() bool {
		_, err := createNamespaceAs(t.Context(), r.mustAs("bob", creators), metav1.ObjectMeta{Name: name})
		return err == nil
	})
	waitUntil(t, "the new namespace has a LimitRange", func() bool { return r.ownedObjects(t, name).Limits != nil })
	stall.Unlock()

	r.waitBound(t, name, "bob")
	var resources []string
	for _, w := range r.writes(t, name)[before:] {
		if resource, ours := strings.CutPrefix(w.describe(), controllerUser+" "); ours {
			resources = append(resources, resource)
		}
	}
	quota, binding := slices.Index(resources, "resourcequotas"), slices.Index(resources, "rolebindings")
	if quota < 0 || binding < quota {
		t.Errorf("the RoleBinding was written before the ResourceQuota: %v", resources)
	}
	if err := stop(); err != nil {
		t.Errorf("the controller has ended with error %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// stalledWatch delays the events of the watches of a resource while it is locked.
type stalledWatch struct {
	sync.Mutex
	resource string // the end of the path
}

func (s *stalledWatch) roundTrip(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	response, err := next.RoundTrip(request)
	if err == nil && strings.HasSuffix(request.URL.Path, s.resource) && request.URL.Query().Get("watch") != "" {
		response.Body = &stalledBody{response.Body, s}
	}
	return response, err
}

type stalledBody struct {
	io.ReadCloser
	stall *stalledWatch
}

func (b *stalledBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.stall.Lock()
	defer b.stall.Unlock()
	return n, err
}
