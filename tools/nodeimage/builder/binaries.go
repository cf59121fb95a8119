package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// program is one of the node's static programs.
type program struct {
	name string // file name in the cache
	pkg  string // Go package, in the module that pins it
	node string // where it lies on the node; empty: only in a preloaded image
}

var programs = []program{
	{"pause", "", ""}, // tools/pause, from this module
	{"kubeadm", "k8s.io/kubernetes/cmd/kubeadm", "/usr/bin/kubeadm"},
	{"kubectl", "k8s.io/kubernetes/cmd/kubectl", "/usr/bin/kubectl"},
	{"kubelet", "k8s.io/kubernetes/cmd/kubelet", "/usr/bin/kubelet"},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", ""},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", ""},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", ""},
	{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", ""},
	{"etcd", "go.etcd.io/etcd/server/v3", ""},
	{"coredns", "github.com/coredns/coredns", ""},
	{"containerd", "github.com/containerd/containerd/v2/cmd/containerd", "/usr/local/bin/containerd"},
	{"containerd-shim-runc-v2", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "/usr/local/bin/containerd-shim-runc-v2"},
	{"ctr", "github.com/containerd/containerd/v2/cmd/ctr", "/usr/local/bin/ctr"},
	{"ptp", "github.com/containernetworking/plugins/plugins/main/ptp", "/opt/cni/bin/ptp"},
	{"loopback", "github.com/containernetworking/plugins/plugins/main/loopback", "/opt/cni/bin/loopback"},
	{"host-local", "github.com/containernetworking/plugins/plugins/ipam/host-local", "/opt/cni/bin/host-local"},
	{"portmap", "github.com/containernetworking/plugins/plugins/meta/portmap", "/opt/cni/bin/portmap"},
}

// buildFlags make the programs static, reproducible and, for kubeadm and kind,
// aware of their version; the tags leave out containerd's unused snapshotters.
func buildFlags() []string {
	const version = "-X k8s.io/component-base/version."
	major, minor, _ := strings.Cut(strings.TrimPrefix(KubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	return []string{
		"-trimpath", "-buildvcs=false",
		"-tags=no_aufs,no_zfs,no_btrfs,no_devmapper",
		"-ldflags=-s -w " + version + "gitVersion=" + KubernetesVersion + " " +
			version + "gitMajor=" + major + " " + version + "gitMinor=" + minor,
	}
}

// binariesKey hashes the pins, the compiler and its flags.
func (b *build) binariesKey(ctx context.Context) (string, error) {
	return gobuild.Key(ctx, b.pins, buildFlags(),
		filepath.Join(b.pins, "go.mod"), filepath.Join(b.pins, "go.sum"), filepath.Join(b.pins, "../../pause/main.go"))
}

// buildBinaries builds what the cache does not hold yet, one program a step.
func (b *build) buildBinaries(ctx context.Context) error {
	if err := os.MkdirAll(b.binaries, 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		if _, err := os.Stat(filepath.Join(b.binaries, p.name)); err == nil {
			continue
		}
		err := b.report.Step("build "+p.name, func(step *progress.Step) error { return b.buildProgram(ctx, p, step) })
		if err != nil {
			return fmt.Errorf("build %s for the node image: %w", p.name, err)
		}
	}
	return nil
}

func (b *build) buildProgram(ctx context.Context, p program, step *progress.Step) error {
	build := gobuild.Program{Dir: b.pins, Package: p.pkg, Output: filepath.Join(b.binaries, p.name), Flags: buildFlags()}
	if p.pkg == "" {
		build.Dir, build.Package = filepath.Join(b.pins, "..", "..", p.name), "."
	}
	return gobuild.Build(ctx, build, step)
}
