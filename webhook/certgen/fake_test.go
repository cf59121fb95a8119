package certgen

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	admissionfake "k8s.io/client-go/kubernetes/typed/admissionregistration/v1/fake"
	corefake "k8s.io/client-go/kubernetes/typed/core/v1/fake"
	clienttesting "k8s.io/client-go/testing"
)

// fakeAPI is an API of objects in memory. It is here for what a real API server
// does not do on demand: lost races and odd moments.
type fakeAPI struct {
	cluster
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
		cluster: cluster{&corefake.FakeCoreV1{Fake: fake}, &admissionfake.FakeAdmissionregistrationV1{Fake: fake}},
		Fake:    fake,
		objects: tracker,
	}
}

// once has the first request of this kind answered with f's error.
func (api fakeAPI) once(verb, resource string, f func() error) {
	done := false
	api.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		if done {
			return false, nil, nil
		}
		done = true
		return true, nil, f()
	})
}

// call is one request to the API server, in the words of an RBAC rule.
type call struct {
	verb, group, resource, namespace string
	name                             string // empty: a create, whose object has no name yet for RBAC
}

// recorded returns the requests that were made.
func (api fakeAPI) recorded() []call {
	var calls []call
	for _, a := range api.Actions() {
		calls = append(calls, call{a.GetVerb(), a.GetResource().Group, a.GetResource().Resource, a.GetNamespace(), nameIn(a)})
	}
	return calls
}

func nameIn(a clienttesting.Action) string {
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

// checkCalls compares the requests as sets: the order does not matter to RBAC. What a
// command calls needs a right in deploy/02-rbac.yaml and a row in deploy/rights_test.go.
func checkCalls(t *testing.T, want, made []call) {
	t.Helper()
	set := func(calls []call) map[call]bool {
		s := map[call]bool{}
		for _, c := range calls {
			s[c] = true
		}
		return s
	}
	if diff := cmp.Diff(set(want), set(made), cmp.AllowUnexported(call{})); diff != "" {
		t.Errorf("API calls (-want +made):\n%s", diff)
	}
}

func (api fakeAPI) writes() int {
	n := 0
	for _, a := range api.Actions() {
		if a.GetVerb() != "get" {
			n++
		}
	}
	return n
}
