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

// Packages are the Go packages of the programs of Kubernetes, by the programs' names. All
// versions have the same programs.
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

// NodePackages are the Go packages of a node's other programs, by the programs' names.
var NodePackages = map[string]string{
	"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
	"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
	"host-local":              "github.com/containernetworking/plugins/plugins/ipam/host-local",
	"loopback":                "github.com/containernetworking/plugins/plugins/main/loopback",
	"portmap":                 "github.com/containernetworking/plugins/plugins/meta/portmap",
	"ptp":                     "github.com/containernetworking/plugins/plugins/main/ptp",
}

// Programs are the programs that one module pins.
type Programs struct {
	Version        // zero for node programs, except its pinsDir
	Dir     string // the directory of the compiled programs, in the cache

	title    string // names the programs in messages
	packages map[string]string
	flags    []string // flags of `go build`
}

// Open returns the programs of a version. It compiles nothing.
func Open(ctx context.Context, v Version) (*Programs, error) {
	p := &Programs{Version: v, title: "Kubernetes " + v.Release, packages: Packages, flags: versionFlags(v)}
	return p, p.setDir(ctx, v.Release)
}

// OpenNode returns the programs of NodePackages. It compiles nothing. root is the directory
// of this repository's module.
func OpenNode(ctx context.Context, root string) (*Programs, error) {
	p := &Programs{
		Version:  Version{pinsDir: filepath.Join(pinsRoot(root), "node")},
		title:    "containerd and the CNI plugins",
		packages: NodePackages,
		flags:    gobuild.Flags(tags, ""),
	}
	return p, p.setDir(ctx, "node")
}

// CoreDNS is the program name of the cluster's DNS server.
const CoreDNS = "coredns"

// OpenCoreDNS returns the program CoreDNS. It compiles nothing. root is the directory of this
// repository's module.
func OpenCoreDNS(ctx context.Context, root string) (*Programs, error) {
	p := &Programs{
		Version:  Version{pinsDir: filepath.Join(root, "tools", "images", CoreDNS)},
		title:    "CoreDNS",
		packages: map[string]string{CoreDNS: "github.com/image-webhook/image-webhook/tools/images/coredns"},
		flags:    gobuild.Flags(tags, ""),
	}
	return p, p.setDir(ctx, CoreDNS, filepath.Join(p.pinsDir, "main.go"))
}

// setDir sets Dir, whose name is a hash of the pins and the sources.
func (p *Programs) setDir(ctx context.Context, name string, sources ...string) error {
	files := append([]string{filepath.Join(p.pinsDir, "go.mod"), filepath.Join(p.pinsDir, "go.sum")}, sources...)
	key, err := gobuild.Key(ctx, p.pinsDir, p.flags, files...)
	if err != nil {
		return err
	}
	p.Dir, err = workspace.CacheDir("kubernetes", name+"-"+key)
	return err
}

// FromEnvironment returns the programs of the version that the variable K8S names.
func FromEnvironment(ctx context.Context, root string) (*Programs, error) {
	v, err := FindFromEnvironment(root)
	if err != nil {
		return nil, err
	}
	return Open(ctx, v)
}

// Path returns the file of a program. It exists after Build has returned.
func (p *Programs) Path(name string) string { return filepath.Join(p.Dir, name) }

// Build compiles the programs that are not in the cache, in the order of names. Concurrent
// builds wait for each other.
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
	if len(missing) == 0 { // another build has compiled them meanwhile
		return nil
	}
	list := strings.Join(missing, ", ")
	err = report.Step("build "+p.title, func(step *progress.Step) error {
		step.SetResult("%s", list)
		return p.compile(ctx, missing, step)
	})
	if err != nil {
		return fmt.Errorf("build %s of %s in the cache %s: %w", list, p.title, p.Dir, err)
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

func (p *Programs) compile(ctx context.Context, names []string, step *progress.Step) error {
	var programs []gobuild.Program
	for _, name := range names {
		programs = append(programs, gobuild.Program{Package: p.packages[name], Output: p.Path(name)})
	}
	return gobuild.Build(ctx, gobuild.Module{Dir: p.pinsDir, Flags: p.flags}, step, programs...)
}

// tags omit the snapshotters of containerd that are not used, and the tracing of gRPC, which
// prevents the linker from removing unused code.
const tags = "grpcnotrace,no_aufs,no_zfs,no_btrfs,no_devmapper"

// versionFlags set the version that the programs of Kubernetes report to kind and users.
func versionFlags(v Version) []string {
	const version = "-X k8s.io/component-base/version."
	major, minor, _ := strings.Cut(v.Minor, ".")
	return gobuild.Flags(tags, version+"gitVersion="+v.Release+" "+version+"gitMajor="+major+" "+version+"gitMinor="+minor)
}
