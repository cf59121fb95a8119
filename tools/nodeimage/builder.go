// Package nodeimage builds a kind node image from Go modules and Debian packages, for
// machines that cannot reach an image registry.
//
// It builds these parts:
//
//	node programs  containerd and the CNI plugins, compiled by package kubebuild
//	base           a minimal Debian with systemd and the programs that kubelet and
//	               kube-proxy call, the node programs, and the files in kind's module for
//	               its own base image; the same for every version of Kubernetes
//	Kubernetes     the programs of one version, and CoreDNS, compiled by package kubebuild
//	               while Debian's packages are downloaded and the base is built
//	preload        the base with kubelet, kubeadm and kubectl, and with the control-plane
//	               images in its containerd
//
// Each part is kept in the cache directory or the container engine, under a key that is a
// hash of its sources. So a stopped build continues where it was, and a changed pin
// rebuilds only the parts that depend on it.
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

// sources are the files of this package. They are part of the image's key, because a change
// in them can change the image.
//
//go:embed *.go Dockerfile
var sources embed.FS

// builder is one run of a build: its tools and the places of the parts.
type builder struct {
	engine *engine.Engine
	report *progress.Reporter

	kindDir  string // kind's module
	pauseDir string // sources of the pause program

	node       *kubebuild.Programs // the same for every version
	coredns    *kubebuild.Programs
	kubernetes *kubebuild.Programs // the requested version
	rootfs     string              // path of Debian's root filesystem, a tar file
	baseRef    string              // reference of the base image
	workDir    string              // temporary files of this run
}

// Build returns the reference of the version's node image in the engine's storage, and
// builds the image first if it is missing. root is the directory of this repository's
// module.
func Build(ctx context.Context, root string, version kubebuild.Version, e *engine.Engine, report *progress.Reporter) (string, error) {
	b := &builder{engine: e, report: report}
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
	return ref, b.buildImage(ctx, ref)
}

// Find returns the reference that Build would return, and reports whether the engine has
// the image.
func Find(ctx context.Context, root string, version kubebuild.Version, e *engine.Engine) (ref string, found bool, err error) {
	b := &builder{engine: e}
	if ref, err = b.prepare(ctx, root, version); err != nil {
		return "", false, err
	}
	return ref, e.HasImage(ctx, ref), nil
}

// prepare finds the inputs, derives all keys from them, and returns the image's reference.
// It downloads kind's module if necessary, and builds nothing.
func (b *builder) prepare(ctx context.Context, root string, version kubebuild.Version) (ref string, err error) {
	if b.kindDir, err = downloadModule(ctx, root, "sigs.k8s.io/kind"); err != nil {
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
	cache, err := workspace.CacheDir("node")
	if err != nil {
		return "", err
	}
	b.pauseDir = filepath.Join(root, "tools", "images", "pause")
	b.rootfs = filepath.Join(cache, "rootfs-"+gobuild.Hash([]byte(strings.Join(rootfsArgs(), "\n")))+".tar")
	b.baseRef, ref, err = b.refs()
	return ref, err
}

// refs returns the references of the base image and the node image. Their tags are hashes
// of all inputs: this package's sources, the parts' names, which contain the parts' keys,
// and the name of kind's directory, which contains its version.
func (b *builder) refs() (baseRef, ref string, err error) {
	inputs, err := packageSources()
	if err != nil {
		return "", "", err
	}
	inputs = append(inputs, filepath.Base(b.node.Dir)+filepath.Base(b.rootfs)+filepath.Base(b.kindDir)...)
	baseRef = baseRepository + ":" + gobuild.Hash(inputs)
	pause, err := os.ReadFile(filepath.Join(b.pauseDir, "main.go"))
	if err != nil {
		return "", "", err
	}
	inputs = append(append(inputs, filepath.Base(b.coredns.Dir)+filepath.Base(b.kubernetes.Dir)...), pause...)
	return baseRef, fmt.Sprintf("%s:%s-%s", repository, b.kubernetes.Release, gobuild.Hash(inputs)), nil
}

// packageSources returns the content of this package's files except the tests.
func packageSources() (content []byte, err error) {
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

func (b *builder) buildImage(ctx context.Context, ref string) (err error) {
	if b.workDir, err = workspace.CacheDir("node", "work"); err != nil {
		return err
	}
	defer os.RemoveAll(b.workDir)
	if err := b.buildParts(ctx); err != nil {
		return err
	}
	if err := b.preload(ctx, ref); err != nil {
		return err
	}
	b.engine.RemoveImages(ctx, repository+":v"+b.kubernetes.Minor+".", ref)
	b.engine.RemoveImages(ctx, baseRepository+":", b.baseRef)
	return nil
}

// buildParts builds the base while it compiles Kubernetes. If one fails, the other is
// stopped.
func (b *builder) buildParts(ctx context.Context) error {
	if err := b.node.Build(ctx, b.report, programNames(nodePrograms)...); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	waitForBase, err := b.startBase(ctx, stop)
	if err != nil {
		return err
	}
	if err := b.compilePrograms(ctx); err != nil {
		stop(err)
	}
	if err := waitForBase(); err != nil {
		stop(err)
	}
	return context.Cause(ctx)
}

// compilePrograms compiles CoreDNS and the programs of the version.
func (b *builder) compilePrograms(ctx context.Context) error {
	if err := b.coredns.Build(ctx, b.report, kubebuild.CoreDNS); err != nil {
		return err
	}
	return b.kubernetes.Build(ctx, b.report, programNames(versionPrograms)...)
}

// startBase starts to build the base in the background, unless it exists. A failure is
// passed to stop, and returned by wait.
func (b *builder) startBase(ctx context.Context, stop context.CancelCauseFunc) (wait func() error, err error) {
	_, err = os.Stat(b.rootfs)
	haveRootfs := err == nil
	if haveRootfs && b.engine.HasImage(ctx, b.baseRef) {
		return func() error { return nil }, nil
	}
	if !haveRootfs {
		if err := ensureRootfsTool(ctx, b.report); err != nil {
			return nil, err
		}
	}
	return b.report.Background("build the node base image", func(step *progress.Step) (err error) {
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

// downloadModule returns the directory of a module that go.mod requires, and downloads the
// module first if it is missing.
func downloadModule(ctx context.Context, dir, module string) (string, error) {
	if err := (subprocess.Command{Args: []string{"go", "mod", "download", module}, Dir: dir}).Run(ctx); err != nil {
		return "", fmt.Errorf("download the Go module %s: %w", module, err)
	}
	return subprocess.Command{Args: []string{"go", "list", "-m", "-f", "{{.Dir}}", module}, Dir: dir}.Output(ctx)
}

// writeFile writes a file and creates its parent directories.
func writeFile(path, content string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // independent of the umask
}

// link creates to as a hard link to the file from, or a copy if it is on another
// filesystem.
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
