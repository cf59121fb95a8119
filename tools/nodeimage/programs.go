package nodeimage

import (
	"context"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// program is a program that package kubebuild compiles.
type program struct {
	name     string
	nodePath string // path on the node; empty: the program is only in a preloaded image
}

// nodePrograms are the programs of kubebuild.NodePackages.
var nodePrograms = []program{
	{"containerd", "/usr/local/bin/containerd"},
	{"containerd-shim-runc-v2", "/usr/local/bin/containerd-shim-runc-v2"},
	{"ctr", "/usr/local/bin/ctr"},
	{"ptp", "/opt/cni/bin/ptp"},
	{"loopback", "/opt/cni/bin/loopback"},
	{"host-local", "/opt/cni/bin/host-local"},
	{"portmap", "/opt/cni/bin/portmap"},
}

// versionPrograms are the programs of kubebuild.Packages. The programs that tests without a
// cluster need are first, so that a stopped build has compiled them.
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

func programNames(programs []program) (names []string) {
	for _, p := range programs {
		names = append(names, p.name)
	}
	return names
}

// linkPrograms links programs into dir, at their paths on the node.
func linkPrograms(built *kubebuild.Programs, programs []program, dir string) error {
	for _, p := range programs {
		if p.nodePath == "" {
			continue
		}
		if err := link(built.Path(p.name), filepath.Join(dir, p.nodePath)); err != nil {
			return err
		}
	}
	return nil
}

// programPath returns the file of a compiled program.
func (b *builder) programPath(name string) string {
	switch {
	case name == "pause":
		return filepath.Join(b.workDir, name)
	case name == kubebuild.CoreDNS:
		return b.coredns.Path(name)
	case kubebuild.NodePackages[name] != "":
		return b.node.Path(name)
	}
	return b.kubernetes.Path(name)
}

func (b *builder) buildPause(ctx context.Context, step *progress.Step) error {
	program := gobuild.Program{Package: "github.com/image-webhook/image-webhook/tools/images/pause", Output: b.programPath("pause")}
	return gobuild.Build(ctx, gobuild.Module{Dir: b.pauseDir}, step, program)
}
