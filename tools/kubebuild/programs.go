package kubebuild

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// Packages are the programs of every version by name, and the Go package of each.
var Packages = map[string]string{
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kubeadm":                 "k8s.io/kubernetes/cmd/kubeadm",
	"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
}

// NodePackages are the programs that a node needs beside those of its version.
var NodePackages = map[string]string{
	"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
	"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
	"host-local":              "github.com/containernetworking/plugins/plugins/ipam/host-local",
	"loopback":                "github.com/containernetworking/plugins/plugins/main/loopback",
	"portmap":                 "github.com/containernetworking/plugins/plugins/meta/portmap",
	"ptp":                     "github.com/containernetworking/plugins/plugins/main/ptp",
}

// Programs are the programs of one module of pins in the cache.
type Programs struct {
	Version        // none for those of a node
	Dir     string // the cache folder that holds what has been built

	title    string // what they are together
	packages map[string]string
	flags    []string // of `go build`
}

// Open names the folder of a version's programs, and builds nothing.
func Open(ctx context.Context, v Version) (*Programs, error) {
	p := &Programs{Version: v, title: "Kubernetes " + v.Release, packages: Packages, flags: versionFlags(v)}
	return p, p.open(ctx, v.Release)
}

// OpenNode names the folder of the programs of NodePackages, and builds nothing. root
// is the folder of this repository's module.
func OpenNode(ctx context.Context, root string) (*Programs, error) {
	p := &Programs{
		Version:  Version{pins: filepath.Join(pinsFolder(root), "node")},
		title:    "containerd and the CNI plugins",
		packages: NodePackages,
		flags:    gobuild.Flags(tags, ""),
	}
	return p, p.open(ctx, "node")
}

// CoreDNS is the name of the cluster's DNS server.
const CoreDNS = "coredns"

// OpenCoreDNS names the folder of CoreDNS, and builds nothing. root is the folder of this
// repository's module.
func OpenCoreDNS(ctx context.Context, root string) (*Programs, error) {
	p := &Programs{
		Version:  Version{pins: filepath.Join(root, "tools", "images", CoreDNS)},
		title:    "CoreDNS",
		packages: map[string]string{CoreDNS: "github.com/image-webhook/image-webhook/tools/images/coredns"},
		flags:    gobuild.Flags(tags, ""),
	}
	return p, p.open(ctx, CoreDNS, filepath.Join(p.pins, "main.go"))
}

// open names the folder by what the programs are built from: the pins and sources.
func (p *Programs) open(ctx context.Context, name string, sources ...string) error {
	files := append([]string{filepath.Join(p.pins, "go.mod"), filepath.Join(p.pins, "go.sum")}, sources...)
	key, err := gobuild.Key(ctx, p.pins, p.flags, files...)
	if err != nil {
		return err
	}
	p.Dir, err = workspace.Make("kubernetes", name+"-"+key)
	return err
}

// FromEnvironment opens the programs of the version that the variable K8S names.
func FromEnvironment(ctx context.Context, root string) (*Programs, error) {
	v, err := FindFromEnvironment(root)
	if err != nil {
		return nil, err
	}
	return Open(ctx, v)
}

// Path returns the file of a program, which is there once Build has returned.
func (p *Programs) Path(name string) string { return filepath.Join(p.Dir, name) }

// Build builds those programs that the cache does not hold yet, the first named
// first. Two builds at once wait for each other.
func (p *Programs) Build(ctx context.Context, report *progress.Reporter, names ...string) error {
	if len(p.missing(names)) == 0 {
		return nil
	}
	unlock, err := workspace.Lock(ctx, p.Dir+".lock", func(wait func() error) error {
		return report.Step("wait for another build of "+p.title, func(*progress.Step) error { return wait() })
	})
	if err != nil {
		return err
	}
	defer unlock()
	missing := p.missing(names)
	if len(missing) == 0 { // another build has built them meanwhile
		return nil
	}
	list := strings.Join(missing, ", ")
	err = report.Step("build "+p.title, func(step *progress.Step) error {
		step.SetResult("%s", list)
		return p.build(ctx, missing, step)
	})
	if err != nil {
		return fmt.Errorf("build %s of %s into the cache %s: %w", list, p.title, p.Dir, err)
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

func (p *Programs) build(ctx context.Context, names []string, step *progress.Step) error {
	var programs []gobuild.Program
	for _, name := range names {
		programs = append(programs, gobuild.Program{Package: p.packages[name], Output: p.Path(name)})
	}
	return gobuild.BuildAll(ctx, gobuild.Module{Dir: p.pins, Flags: p.flags}, programs, step)
}

// tags leave out the snapshotters of containerd that are not used, and of gRPC what
// keeps the linker from leaving out the code that nothing calls.
const tags = "grpcnotrace,no_aufs,no_zfs,no_btrfs,no_devmapper"

// versionFlags make kubeadm, kind and kubectl aware of their version.
func versionFlags(v Version) []string {
	const version = "-X k8s.io/component-base/version."
	major, minor, _ := strings.Cut(v.Minor, ".")
	return gobuild.Flags(tags, version+"gitVersion="+v.Release+" "+version+"gitMajor="+major+" "+version+"gitMinor="+minor)
}
