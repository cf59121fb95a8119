// Package builder makes a kind node image where no image registry can be
// reached: from Go modules and Debian packages alone.
//
// The parts, each kept in the cache folder or the engine under a key that is a hash
// of what it is made from, so that a stopped run goes on where it was and a changed
// pin makes anew only what depends on it:
//
//	node programs  containerd, CoreDNS and the CNI plugins, by package kubernetes
//	base           a minimal Debian with systemd and what kubelet and kube-proxy call,
//	               the node programs, and the files that the kind module carries for
//	               its own base image: the same for every version of Kubernetes
//	Kubernetes     the programs of one version, by package kubernetes, compiled while
//	               Debian's packages are fetched and the base is made
//	preload        the base with kubelet, kubeadm and kubectl, and with the
//	               control-plane images, made from scratch, in its containerd
package nodeimage

import (
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

const (
	repository     = "image-webhook.dev/node"
	baseRepository = "image-webhook.dev/node-base"
)

// sources is what turns the pins into an image: a change in it is a new image.
//
//go:embed *.go Dockerfile
var sources embed.FS

// build is one run: what it builds with, and where the parts lie.
type build struct {
	engine *engine.Engine
	report *progress.Reporter

	kind  string // folder of kind's module
	pause string // folder of the pause program

	node       *kubebuild.Programs // of every version
	coredns    *kubebuild.Programs
	kubernetes *kubebuild.Programs // of the version that is asked for
	rootfs     string              // Debian, a tar file
	base       string              // reference of the base image
	work       string              // a folder for this run alone
}

// Build returns the reference of the version's node image in the engine's own
// storage, and makes the image first if it is not there. root is the folder of the
// module of this repository.
func Build(ctx context.Context, root string, version kubebuild.Version, e *engine.Engine, report *progress.Reporter) (string, error) {
	b := &build{engine: e, report: report}
	ref, err := b.prepare(ctx, root, version)
	if err != nil || e.HasImage(ctx, ref) {
		return ref, err
	}
	unlock, err := workspace.Lock(ctx, filepath.Join(filepath.Dir(b.rootfs), "lock"), func(wait func() error) error {
		return report.Step("wait for another build of the node image", func(*progress.Step) error { return wait() })
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if e.HasImage(ctx, ref) { // another run built it meanwhile
		return ref, nil
	}
	return ref, b.make(ctx, ref)
}

// Find returns the reference that Build would return, and whether the engine
// has it already.
func Find(ctx context.Context, root string, version kubebuild.Version, e *engine.Engine) (ref string, found bool, err error) {
	b := &build{engine: e}
	if ref, err = b.prepare(ctx, root, version); err != nil {
		return "", false, err
	}
	return ref, e.HasImage(ctx, ref), nil
}

// prepare finds the inputs and derives every key from them.
func (b *build) prepare(ctx context.Context, root string, version kubebuild.Version) (ref string, err error) {
	if b.kind, err = downloadModule(ctx, root, "sigs.k8s.io/kind"); err != nil {
		return "", err
	}
	if b.node, err = kubebuild.OpenNode(ctx, root); err != nil {
		return "", err
	}
	if b.coredns, err = kubebuild.OpenCoreDNS(ctx, root); err != nil {
		return "", err
	}
	if b.kubernetes, err = kubebuild.Open(ctx, version); err != nil {
		return "", err
	}
	nodes, err := workspace.Make("node")
	if err != nil {
		return "", err
	}
	b.pause = filepath.Join(root, "tools", "images", "pause")
	b.rootfs = filepath.Join(nodes, "rootfs-"+gobuild.Hash([]byte(strings.Join(rootfsArgs(), "\n")))+".tar")
	return b.name()
}

// name names the images by everything that goes into them: the names of the parts
// hold their keys, kind's folder its version, and sources is this package.
func (b *build) name() (ref string, err error) {
	parts, err := ownSources()
	if err != nil {
		return "", err
	}
	parts = append(parts, filepath.Base(b.node.Dir)+filepath.Base(b.rootfs)+filepath.Base(b.kind)...)
	b.base = baseRepository + ":" + gobuild.Hash(parts)
	pause, err := os.ReadFile(filepath.Join(b.pause, "main.go"))
	if err != nil {
		return "", err
	}
	parts = append(append(parts, filepath.Base(b.coredns.Dir)+filepath.Base(b.kubernetes.Dir)...), pause...)
	return fmt.Sprintf("%s:%s-%s", repository, b.kubernetes.Release, gobuild.Hash(parts)), nil
}

// ownSources is what this package consists of, but for its tests.
func ownSources() (content []byte, err error) {
	entries, err := sources.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := sources.ReadFile(entry.Name())
		if err != nil {
			return nil, err
		}
		content = append(content, file...)
	}
	return content, nil
}

func (b *build) make(ctx context.Context, ref string) (err error) {
	if b.work, err = workspace.Make("node", "work"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if err := b.makeParts(ctx); err != nil {
		return err
	}
	if err := b.preload(ctx, ref); err != nil {
		return err
	}
	b.engine.RemoveImages(ctx, repository+":v"+b.kubernetes.Minor+".", ref)
	b.engine.RemoveImages(ctx, baseRepository+":", b.base)
	return nil
}

// makeParts makes the base while Kubernetes is compiled. Whichever fails first stops
// the other.
func (b *build) makeParts(ctx context.Context) error {
	if err := b.node.Build(ctx, b.report, names(nodePrograms)...); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	base, err := b.startBase(ctx, stop)
	if err != nil {
		return err
	}
	if err := b.compileImages(ctx); err != nil {
		stop(err)
	}
	if err := base(); err != nil {
		stop(err)
	}
	return context.Cause(ctx)
}

// compileImages compiles what the control-plane images and the kubelet consist of.
func (b *build) compileImages(ctx context.Context) error {
	if err := b.coredns.Build(ctx, b.report, kubebuild.CoreDNS); err != nil {
		return err
	}
	return b.kubernetes.Build(ctx, b.report, names(versionPrograms)...)
}

// startBase starts what makes the base, unless it is there. A failure is for stop, and
// for whoever waits.
func (b *build) startBase(ctx context.Context, stop context.CancelCauseFunc) (wait func() error, err error) {
	_, err = os.Stat(b.rootfs)
	haveRootfs := err == nil
	if haveRootfs && b.engine.HasImage(ctx, b.base) {
		return func() error { return nil }, nil
	}
	if !haveRootfs {
		if err := ensureRootfsTool(ctx, b.report); err != nil {
			return nil, err
		}
	}
	return b.report.Background("node base image", func(step *progress.Step) (err error) {
		if !haveRootfs {
			err = b.buildRootfs(ctx, step)
		}
		if err == nil {
			err = b.buildBase(ctx, step)
		}
		if err != nil {
			stop(err)
		}
		return err
	}), nil
}

// downloadModule returns the folder of a module that go.mod names, and fetches
// it first if it is not there.
func downloadModule(ctx context.Context, dir, module string) (string, error) {
	if err := (subprocess.Command{Args: []string{"go", "mod", "download", module}, Dir: dir}).Run(ctx); err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	return subprocess.Command{Args: []string{"go", "list", "-m", "-f", "{{.Dir}}", module}, Dir: dir}.Output(ctx)
}

// writeFile makes path with its folders.
func writeFile(path, content string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever the umask
}

// link makes to the same file as from: a hard link, or a copy across
// filesystems.
func link(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Link(from, to); err == nil {
		return nil
	}
	return copyFile(from, to)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
