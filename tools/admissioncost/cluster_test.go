package admissioncost

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRefusesClustersOfOthers(t *testing.T) {
	node := func(name, provider string) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: provider}}
	}
	const remote = "https://api.example:6443"
	for _, tt := range []struct {
		name, host string
		nodes      []corev1.Node
		want       string // the error; empty: none
	}{
		{"kind", remote, []corev1.Node{node("a", "kind://docker/x/a"), node("b", "kind://docker/x/b")}, ""},
		{"control plane", "https://127.0.0.1:35213", nil, ""},
		{"control plane, IPv6", "https://[::1]:35213", nil, ""},
		{"foreign node", remote, []corev1.Node{node("a", "kind://docker/x/a"), node("b", "aws:///i-0")}, `node "b" of cluster "https://api.example:6443" was not created by kind`},
		{"foreign node behind a tunnel", "https://127.0.0.1:6443", []corev1.Node{node("b", "")}, `node "b" of cluster "https://127.0.0.1:6443" was not created by kind`},
		{"no nodes elsewhere", remote, nil, "cluster \"https://api.example:6443\" has no nodes and is not on this machine, so `bin/controlplane` did not create it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := checkOwn(tt.host, tt.nodes); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got error %q, want %q", got, tt.want)
			}
		})
	}
}
