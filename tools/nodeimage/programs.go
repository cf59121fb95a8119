package nodeimage

import (
	"context"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// program is one of package kubernetes.
type program struct {
	name string
	node string // where it lies on the node; empty: only in a preloaded image
}

// nodePrograms are those of kubebuild.NodePackages.
var nodePrograms = []program{
	{"containerd", "/usr/local/bin/containerd"},
	{"containerd-shim-runc-v2", "/usr/local/bin/containerd-shim-runc-v2"},
	{"ctr", "/usr/local/bin/ctr"},
	{"ptp", "/opt/cni/bin/ptp"},
	{"loopback", "/opt/cni/bin/loopback"},
	{"host-local", "/opt/cni/bin/host-local"},
	{"portmap", "/opt/cni/bin/portmap"},
}

// versionPrograms are those of kubebuild.Packages, what tests without a cluster need
// first: a build that is stopped has got furthest with them.
var versionPrograms = []program{
	{"kube-apiserver", ""},
	{"etcd", ""},
	{"kubectl", "/usr/bin/kubectl"},
	{"kubelet", "/usr/bin/kubelet"},
	{"kubeadm", "/usr/bin/kubeadm"},
	{"kube-controller-manager", ""},
	{"kube-scheduler", ""},
	{"kube-proxy", ""},
}

func names(programs []program) (names []string) {
	for _, p := range programs {
		names = append(names, p.name)
	}
	return names
}

// placePrograms links programs to where they lie on the node, below the folder to.
func placePrograms(built *kubebuild.Programs, programs []program, to string) error {
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

// path returns the file of any of the programs.
func (b *build) path(name string) string {
	switch {
	case name == "pause":
		return filepath.Join(b.work, name)
	case name == kubebuild.CoreDNS:
		return b.coredns.Path(name)
	case kubebuild.NodePackages[name] != "":
		return b.node.Path(name)
	}
	return b.kubernetes.Path(name)
}

func (b *build) buildPause(ctx context.Context, step *progress.Step) error {
	return gobuild.Build(ctx, gobuild.Module{Dir: b.pause}, gobuild.Program{Package: ".", Output: b.path("pause")}, step)
}
