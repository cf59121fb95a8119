package builder

import (
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/kubernetes"
)

// program is one of the node's programs.
type program struct {
	name string // of tools/kubernetes
	node string // where it lies on the node; empty: only in a preloaded image
}

var programs = []program{
	{"pause", ""},
	{"kubeadm", "/usr/bin/kubeadm"},
	{"kubectl", "/usr/bin/kubectl"},
	{"kubelet", "/usr/bin/kubelet"},
	{"kube-apiserver", ""},
	{"kube-controller-manager", ""},
	{"kube-scheduler", ""},
	{"kube-proxy", ""},
	{"etcd", ""},
	{"coredns", ""},
	{"containerd", "/usr/local/bin/containerd"},
	{"containerd-shim-runc-v2", "/usr/local/bin/containerd-shim-runc-v2"},
	{"ctr", "/usr/local/bin/ctr"},
	{"ptp", "/opt/cni/bin/ptp"},
	{"loopback", "/opt/cni/bin/loopback"},
	{"host-local", "/opt/cni/bin/host-local"},
	{"portmap", "/opt/cni/bin/portmap"},
}

func programNames() (names []string) {
	for _, p := range programs {
		names = append(names, p.name)
	}
	return names
}

// writePrograms links the programs to where they lie on the node.
func writePrograms(built *kubernetes.Programs, to string) error {
	for _, p := range programs {
		if p.node == "" {
			continue
		}
		if err := link(built.Path(p.name), filepath.Join(to, p.node)); err != nil {
			return err
		}
	}
	return nil
}
