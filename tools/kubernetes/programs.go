package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/tools/cachedir"
	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// Packages are the programs by name, and the Go package of each. Pause is one of
// this repository's own, tools/pause.
var Packages = map[string]string{
	"pause":                   ".",
	"kubeadm":                 "k8s.io/kubernetes/cmd/kubeadm",
	"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"coredns":                 "github.com/coredns/coredns",
	"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
	"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
	"ptp":                     "github.com/containernetworking/plugins/plugins/main/ptp",
	"loopback":                "github.com/containernetworking/plugins/plugins/main/loopback",
	"host-local":              "github.com/containernetworking/plugins/plugins/ipam/host-local",
	"portmap":                 "github.com/containernetworking/plugins/plugins/meta/portmap",
}

// Programs are the programs of one version in the cache.
type Programs struct {
	Version
	Dir string // the cache folder that holds what has been built
}

// Open names the folder of a version's programs, and builds nothing.
func Open(ctx context.Context, v Version) (*Programs, error) {
	p := &Programs{Version: v}
	key, err := gobuild.Key(ctx, v.pins, p.flags(),
		filepath.Join(v.pins, "go.mod"), filepath.Join(v.pins, "go.sum"), filepath.Join(p.source("pause"), "main.go"))
	if err != nil {
		return nil, err
	}
	p.Dir, err = cachedir.Make("kubernetes", v.Release+"-"+key)
	return p, err
}

// FromEnvironment opens the programs of the version that the variable K8S names, as
// 1.36; without it, of the newest. root is the folder of this repository's module.
func FromEnvironment(ctx context.Context, root string) (*Programs, error) {
	v, err := Find(root, os.Getenv("K8S"))
	if err != nil {
		return nil, fmt.Errorf("K8S: %w", err)
	}
	return Open(ctx, v)
}

// Path returns the file of a program, which is there once Build has returned.
func (p *Programs) Path(name string) string { return filepath.Join(p.Dir, name) }

// Build builds those programs that the cache does not hold yet, one a step. Two
// builds at once wait for each other.
func (p *Programs) Build(ctx context.Context, report *progress.Reporter, names ...string) error {
	if len(p.missing(names)) == 0 {
		return nil
	}
	unlock, err := cachedir.Lock(ctx, p.Dir+".lock", func(wait func() error) error {
		return report.Step("wait for another build of Kubernetes "+p.Release, func(*progress.Step) error { return wait() })
	})
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range p.missing(names) {
		err := report.Step("build "+name+" "+p.Release, func(step *progress.Step) error { return p.build(ctx, name, step) })
		if err != nil {
			return fmt.Errorf("build %s of Kubernetes %s into the cache %s: %w", name, p.Release, p.Dir, err)
		}
	}
	return nil
}

func (p *Programs) missing(names []string) (missing []string) {
	for _, name := range names {
		if _, err := os.Stat(p.Path(name)); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

func (p *Programs) build(ctx context.Context, name string, step *progress.Step) error {
	return gobuild.Build(ctx, gobuild.Program{Dir: p.source(name), Package: Packages[name], Output: p.Path(name), Flags: p.flags()}, step)
}

// source is the folder of the module that a program is built in.
func (p *Programs) source(name string) string {
	if name == "pause" {
		return filepath.Join(p.pins, "..", "..", "pause")
	}
	return p.pins
}

// flags make the programs static, reproducible and, for kubeadm, kind and kubectl,
// aware of their version; the tags leave out containerd's unused snapshotters.
func (p *Programs) flags() []string {
	const version = "-X k8s.io/component-base/version."
	major, minor, _ := strings.Cut(p.Minor, ".")
	return []string{
		"-trimpath", "-buildvcs=false",
		"-tags=no_aufs,no_zfs,no_btrfs,no_devmapper",
		"-ldflags=-s -w " + version + "gitVersion=" + p.Release + " " +
			version + "gitMajor=" + major + " " + version + "gitMinor=" + minor,
	}
}
