package certgen

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

func TestAPIServersAreThoseOfTheServiceKubernetes(t *testing.T) {
	port := []discoveryv1.EndpointPort{{Port: new(int32(6443))}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default"}, Ports: port,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}, {Addresses: []string{"fd00::1"}}},
	}
	for name, test := range map[string]struct {
		objects []runtime.Object
		want    []string
	}{
		"two API servers":  {[]runtime.Object{slice}, []string{"10.0.0.1:6443", "[fd00::1]:6443"}},
		"no EndpointSlice": {nil, []string{"10.96.0.1:443"}},
	} {
		t.Run(name, func(t *testing.T) {
			servers, err := listAPIServers(t.Context(), newFakeAPI(t, test.objects...).apiClients, &rest.Config{Host: "https://10.96.0.1:443"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, server := range servers {
				got = append(got, server.address)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPIServersNeedARight(t *testing.T) {
	api := newFakeAPI(t)
	api.fail("get", "endpointslices", func() error {
		return apierrors.NewForbidden(corev1.Resource("endpointslices"), "kubernetes", errors.New("no"))
	})
	_, err := listAPIServers(t.Context(), api.apiClients, &rest.Config{Host: "https://10.96.0.1:443"})
	want := `EndpointSlice default/kubernetes: endpointslices "kubernetes" is forbidden: no: grant this permission as in deploy/02-rbac.yaml`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSettleFailsWithoutOneOfTheAPIServers(t *testing.T) {
	// The Secret must not be promoted, and the next run continues with the same certificate.
	before := mustIssue(t, []string{"webhook.ns.svc"}, noon)
	i := install(t, before, before.ca)
	s := i.session(t, nil)
	s.out, s.now, s.watchLimit = &strings.Builder{}, atNoon, s.replicaLimit/1000
	lagging := newFakeAPI(t)
	lagging.fail("get", "mutatingwebhookconfigurations", func() error { return errors.New("connection refused") })
	healthy := s.servers
	s.servers = constant([]apiServer{{"10.0.0.1:6443", i.apiClients}, {"10.0.0.2:6443", lagging.apiClients}})
	_, err := s.create(t.Context(), createTLS)
	want := "API server 10.0.0.2:6443 does not have the new CA: MutatingWebhookConfiguration image-webhook: connection refused"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	staged := readSecret(t, i.fakeAPI)
	if string(staged.Data[certKey]) != string(before.cert) || len(staged.Data) != 6 {
		t.Errorf("the Secret has %d keys, want the old certificate and a staged one", len(staged.Data))
	}
	s.servers = healthy
	if _, err := s.create(t.Context(), createTLS); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(staged.Data[StagedPrefix+certKey], readSecret(t, i.fakeAPI).Data[certKey]); diff != "" {
		t.Error("the next run uses another certificate")
	}
}
