package certgen

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	admissionfake "k8s.io/client-go/kubernetes/typed/admissionregistration/v1/fake"
	corefake "k8s.io/client-go/kubernetes/typed/core/v1/fake"
	discoveryfake "k8s.io/client-go/kubernetes/typed/discovery/v1/fake"
	clienttesting "k8s.io/client-go/testing"
)

// fakeAPI is an API server that keeps objects in memory, and returns conflicts and errors
// on demand.
type fakeAPI struct {
	apiClients
	*clienttesting.Fake
	objects clienttesting.ObjectTracker
}

func newFakeAPI(t *testing.T, objects ...runtime.Object) fakeAPI {
	t.Helper()
	tracker := clienttesting.NewObjectTracker(scheme.Scheme, scheme.Codecs.UniversalDecoder())
	for _, o := range objects {
		if err := tracker.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	fake := &clienttesting.Fake{}
	fake.AddReactor("*", "*", clienttesting.ObjectReaction(tracker))
	return fakeAPI{
		apiClients: apiClients{&corefake.FakeCoreV1{Fake: fake}, &admissionfake.FakeAdmissionregistrationV1{Fake: fake}, &discoveryfake.FakeDiscoveryV1{Fake: fake}},
		Fake:       fake,
		objects:    tracker,
	}
}

// session returns a session that calls only the fake API server, and does not wait.
func (api fakeAPI) session(t *testing.T, out io.Writer) session {
	t.Helper()
	return session{
		apiClients:   api.apiClients,
		servers:      constant([]apiServer{{"10.0.0.1:6443", api.apiClients}}),
		dial:         func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") },
		now:          time.Now,
		interval:     time.Millisecond,
		replicaLimit: 30 * time.Second,
		watchLimit:   30 * time.Second,
		out:          out,
		progress:     io.Discard,
	}
}

func constant(servers []apiServer) func(context.Context) ([]apiServer, error) {
	return func(context.Context) ([]apiServer, error) { return servers, nil }
}

// failFirst makes the first request with this verb and resource return f's error.
func (api fakeAPI) failFirst(verb, resource string, f func() error) {
	done := false
	api.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		if done {
			return false, nil, nil
		}
		done = true
		return true, nil, f()
	})
}

// fail makes each request with this verb and resource return f's error, unless it is nil.
func (api fakeAPI) fail(verb, resource string, f func() error) {
	api.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		err := f()
		return err != nil, nil, err
	})
}

// call is a request to the API server, with the fields of an RBAC rule.
type call struct {
	verb, group, resource, namespace string
	name                             string // empty for a create: RBAC does not know the name
}

// calls returns all requests so far.
func (api fakeAPI) calls() []call {
	var calls []call
	for _, a := range api.Actions() {
		calls = append(calls, call{a.GetVerb(), a.GetResource().Group, a.GetResource().Resource, a.GetNamespace(), objectName(a)})
	}
	return calls
}

func objectName(a clienttesting.Action) string {
	switch a := a.(type) {
	case clienttesting.UpdateActionImpl:
		object, _ := a.GetObject().(interface{ GetName() string })
		return object.GetName()
	case interface{ GetName() string }:
		if a.(clienttesting.Action).GetVerb() != "create" {
			return a.GetName()
		}
	}
	return ""
}

// checkCalls compares the requests as sets, because RBAC ignores their order. Every
// call of a command needs a rule in deploy/02-rbac.yaml and a row in
// deploy/rights_test.go.
func checkCalls(t *testing.T, want, got []call) {
	t.Helper()
	set := func(calls []call) map[call]bool {
		s := map[call]bool{}
		for _, c := range calls {
			s[c] = true
		}
		return s
	}
	if diff := cmp.Diff(set(want), set(got), cmp.AllowUnexported(call{})); diff != "" {
		t.Errorf("API calls (-want +got):\n%s", diff)
	}
}

func (api fakeAPI) countWrites() int {
	count := 0
	for _, a := range api.Actions() {
		if a.GetVerb() != "get" && a.GetVerb() != "list" {
			count++
		}
	}
	return count
}
