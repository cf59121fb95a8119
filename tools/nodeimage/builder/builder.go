// Package builder makes a kind node image where no image registry can be
// reached: from Go modules and Debian packages alone.
//
// The steps, each kept in the cache folder or the engine under a key that is a
// hash of what it is made from, so that a stopped run goes on where it was and a
// changed pin makes anew only what depends on it:
//
//	programs   Kubernetes, containerd, etcd, CoreDNS and the CNI plugins, each one
//	           static program, by package kubernetes
//	rootfs     a minimal Debian with systemd and what kubelet and kube-proxy call
//	base       rootfs + programs + the files that the kind module carries for
//	           its own base image
//	preload    the control-plane images, made from scratch, imported into the
//	           containerd of a running base and committed
package builder

import (
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/tools/cachedir"
	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/kubernetes"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const repository = "image-webhook.dev/node"

// sources is what turns the pins into an image: a change in it is a new image.
//
//go:embed *.go Dockerfile
var sources embed.FS

// build is one run: what it builds with, and where the parts lie.
type build struct {
	engine *engine.Engine
	report *progress.Reporter

	kind string // folder of kind's module

	programs *kubernetes.Programs
	rootfs   string // the root filesystem, a tar file
	work     string // a folder for this run alone
}

// Build returns the reference of the node image in the engine's own storage,
// and makes the image first if it is not there. root is the folder of the
// module of this repository.
func Build(ctx context.Context, root string, e *engine.Engine, report *progress.Reporter) (string, error) {
	b := &build{engine: e, report: report}
	ref, err := b.prepare(ctx, root)
	if err != nil || e.HasImage(ctx, ref) {
		return ref, err
	}
	unlock, err := cachedir.Lock(ctx, filepath.Join(filepath.Dir(b.rootfs), "lock"), func(wait func() error) error {
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
func Find(ctx context.Context, root string, e *engine.Engine) (ref string, found bool, err error) {
	b := &build{engine: e}
	if ref, err = b.prepare(ctx, root); err != nil {
		return "", false, err
	}
	return ref, e.HasImage(ctx, ref), nil
}

// prepare finds the inputs and derives every key from them.
func (b *build) prepare(ctx context.Context, root string) (ref string, err error) {
	if b.kind, err = downloadModule(ctx, root, "sigs.k8s.io/kind"); err != nil {
		return "", err
	}
	version, err := kubernetes.Find(root, kubernetes.Newest)
	if err != nil {
		return "", err
	}
	if b.programs, err = kubernetes.Open(ctx, version); err != nil {
		return "", err
	}
	nodes, err := cachedir.Make("node")
	if err != nil {
		return "", err
	}
	b.rootfs = filepath.Join(nodes, "rootfs-"+gobuild.Hash([]byte(strings.Join(rootfsArgs(), "\n")))+".tar")
	imageKey, err := b.imageKey()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:%s-%s", repository, version.Release, imageKey), nil
}

// imageKey covers everything that goes into the image: the names of the parts
// hold their keys, kind's folder its version, and sources is this package.
func (b *build) imageKey() (string, error) {
	parts := []byte(filepath.Base(b.programs.Dir) + filepath.Base(b.rootfs) + filepath.Base(b.kind))
	entries, err := sources.ReadDir(".")
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		content, err := sources.ReadFile(entry.Name())
		if err != nil {
			return "", err
		}
		parts = append(parts, content...)
	}
	return gobuild.Hash(parts), nil
}

func (b *build) make(ctx context.Context, ref string) (err error) {
	if b.work, err = cachedir.Make("node", "work"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if err := b.programs.Build(ctx, b.report, programNames()...); err != nil {
		return err
	}
	if err := b.buildRootfs(ctx); err != nil {
		return err
	}
	if err := b.buildBase(ctx, ref+"-base"); err != nil {
		return err
	}
	if err := b.preload(ctx, ref+"-base", ref); err != nil {
		return err
	}
	b.engine.RemoveImages(ctx, repository, ref)
	return nil
}

// downloadModule returns the folder of a module that go.mod names, and fetches
// it first if it is not there.
func downloadModule(ctx context.Context, dir, module string) (string, error) {
	if err := (command.Command{Args: []string{"go", "mod", "download", module}, Dir: dir}).Run(ctx); err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	return command.Command{Args: []string{"go", "list", "-m", "-f", "{{.Dir}}", module}, Dir: dir}.Output(ctx)
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
