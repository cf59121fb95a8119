package apiservers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/rest"
)

func TestListReturnsEachAPIServer(t *testing.T) {
	slice := &discoveryv1.EndpointSlice{
		Ports:     []discoveryv1.EndpointPort{{Port: new(int32(6443))}, {}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}, {Addresses: []string{"fd00::1"}}},
	}
	type server struct{ Address, Host, ServerName string }
	for _, tt := range []struct {
		name   string
		slice  *discoveryv1.EndpointSlice
		config rest.Config
		want   []server
	}{
		{"two", slice, rest.Config{Host: "https://api.example:443"}, []server{
			{"10.0.0.1:6443", "https://10.0.0.1:6443", "api.example"},
			{"[fd00::1]:6443", "https://[fd00::1]:6443", "api.example"},
		}},
		{"a configured name", slice, rest.Config{Host: "https://10.0.0.9", TLSClientConfig: rest.TLSClientConfig{ServerName: "kubernetes"}}, []server{
			{"10.0.0.1:6443", "https://10.0.0.1:6443", "kubernetes"},
			{"[fd00::1]:6443", "https://[fd00::1]:6443", "kubernetes"},
		}},
		{"no address", &discoveryv1.EndpointSlice{}, rest.Config{Host: "https://api.example:443"}, []server{
			{"api.example:443", "https://api.example:443", ""},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			servers, err := List(tt.slice, &tt.config)
			if err != nil {
				t.Fatal(err)
			}
			var got []server
			for _, s := range servers {
				got = append(got, server{s.Address, s.Config.Host, s.Config.ServerName})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("API servers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListRefusesAnInvalidAddress(t *testing.T) {
	if _, err := List(&discoveryv1.EndpointSlice{}, &rest.Config{Host: "https://a b"}); err == nil {
		t.Error("no error")
	}
}
