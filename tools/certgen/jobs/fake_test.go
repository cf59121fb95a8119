package jobs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	admissionfake "k8s.io/client-go/kubernetes/typed/admissionregistration/v1/fake"
	corefake "k8s.io/client-go/kubernetes/typed/core/v1/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/image-webhook/image-webhook/tools/certgen/verb"
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

// recorded are the calls that were made, in the form of the declared ones.
func (api fakeAPI) recorded() []verb.Call {
	var calls []verb.Call
	for _, a := range api.Actions() {
		calls = append(calls, verb.Call{
			Verb:      a.GetVerb(),
			Group:     a.GetResource().Group,
			Resource:  a.GetResource().Resource,
			Namespace: a.GetNamespace(),
			Name:      nameIn(a),
		})
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

// sameCalls compares as sets: the rights of a Job know no order.
func sameCalls(t *testing.T, declared, made []verb.Call) {
	t.Helper()
	set := func(calls []verb.Call) map[verb.Call]bool {
		s := map[verb.Call]bool{}
		for _, c := range calls {
			s[c] = true
		}
		return s
	}
	if diff := cmp.Diff(set(declared), set(made), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("declared (-) and made (+) calls differ:\n%s", diff)
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
