// Package archive builds the image of image-webhook from the checkout: static
// binaries for linux in one layer on nothing, owned by root, run by user 65532.
//
// The same sources give the same bytes, so an archive carries two references
// to its one image: a static one, which is StaticRef unless the image is supervised,
// and one made from the image's own digest. A Deployment that is given the latter
// rolls out when the content changed, and only then.
package webhookimage

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

const (
	// Repository is the image's name. Nothing is ever pulled from it: no such
	// host serves images, and the nodes have the image already.
	Repository = "image-webhook.dev/image-webhook"

	// StaticRef is the reference that the manifests of deploy/ use.
	StaticRef = Repository + ":dev"

	// user is the customary "nonroot" of images without a user database.
	user = "65532:65532"

	// digits of the digest in a content reference: unique enough for a cluster.
	digits = 12
)

// program is a file of the image and the package it is built from.
type program struct{ path, pkg string }

// programs are the image's files, in the order in which the layer has them.
var programs = []program{
	{"/certgen", "./webhook/cmd/certgen"},
	{"/image-webhook", "./webhook/cmd/image-webhook"},
}

// supervising is what the webhook can be replaced with while its container runs.
var supervising = []program{
	{"/supervise", "./tools/images/supervise"},
	{"/bin/tar", "./tools/images/supervise"},
}

// Options say what to build. Only Root is required.
type Options struct {
	Root   string // the folder of the module's go.mod
	Arch   string // GOARCH; empty: this machine's
	Output string // the archive; empty: in the user's cache folder, named by architecture

	// Version is what `image-webhook version` prints, and a label says; empty for
	// what is not released, so that the bytes depend on the sources alone.
	Version string

	// Supervised adds the command supervise, for developing. Such an image goes by
	// another name than StaticRef: what the manifests name is the one without.
	Supervised bool
}

func (o Options) programs() []program {
	if o.Supervised {
		return slices.Concat(programs, supervising)
	}
	return programs
}

func (o Options) staticRef() string {
	if o.Supervised {
		return Repository + ":supervised"
	}
	return StaticRef
}

func (o Options) fileName() string {
	if o.Supervised {
		return "supervised-" + o.Arch + ".tar"
	}
	return "image-webhook-" + o.Arch + ".tar"
}

// Image is a finished archive.
type Image struct {
	Path       string
	Size       int64
	StaticRef  string
	ContentRef string
}

// Build writes the archive and returns what is in it. An archive of that name
// is replaced in one step, so whoever reads it sees the old one or the new.
func Build(ctx context.Context, o Options, report *progress.Reporter) (Image, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Image{}, err
	}
	dir, err := os.MkdirTemp("", "image-webhook-image-")
	if err != nil {
		return Image{}, fmt.Errorf("make a working folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := o.compile(ctx, dir, report); err != nil {
		return Image{}, fmt.Errorf("compile for linux/%s: %w", o.Arch, err)
	}
	var built Image
	err = report.Step("write "+filepath.Base(o.Output), func(*progress.Step) (err error) {
		built, err = o.write(dir)
		return err
	})
	if err != nil {
		return Image{}, fmt.Errorf("write %s: %w", o.Output, err)
	}
	return built, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Arch == "" {
		o.Arch = runtime.GOARCH
	}
	if !slices.Contains(architectures, o.Arch) {
		return o, fmt.Errorf("no such architecture %q: give one that Go builds for linux, such as amd64 or arm64", o.Arch)
	}
	if o.Version != "" && !semver.IsValid(o.Version) {
		return o, fmt.Errorf("%q is no version: write one such as v1.2.3", o.Version)
	}
	if o.Output == "" {
		dir, err := workspace.Make("image")
		if err != nil {
			return o, err
		}
		o.Output = filepath.Join(dir, o.fileName())
	}
	output, err := filepath.Abs(o.Output) // go build runs in another folder
	if err != nil {
		return o, err
	}
	o.Output = output
	return o, os.MkdirAll(filepath.Dir(output), 0o755)
}

// architectures are those that Kubernetes has nodes of.
var architectures = []string{"amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"}

// compile builds all programs at once: one is linked while the next is compiled.
func (o Options) compile(ctx context.Context, dir string, report *progress.Reporter) error {
	var programs []gobuild.Program
	for _, p := range o.programs() {
		compiled := gobuild.Program{Package: p.pkg, Output: filepath.Join(dir, p.fileName())}
		if !slices.Contains(programs, compiled) { // it is there under two names
			programs = append(programs, compiled)
		}
	}
	return report.Step("compile for linux/"+o.Arch, func(step *progress.Step) error {
		return gobuild.BuildAll(ctx, gobuild.Module{Dir: o.Root, Arch: o.Arch, Flags: o.flags()}, programs, step)
	})
}

// flags of the compiler; nil: those that it takes by itself.
func (o Options) flags() []string {
	if o.Version == "" {
		return nil
	}
	return gobuild.Versioned(o.Version)
}

// fileName is that of the compiled program, before it goes into the layer.
func (p program) fileName() string { return path.Base(p.pkg) }

func (o Options) write(dir string) (Image, error) {
	image, err := o.image(dir).Build(filepath.Join(dir, "layer.tar"))
	if err != nil {
		return Image{}, err
	}
	config, err := image.ConfigName()
	if err != nil {
		return Image{}, err
	}
	contentRef := Repository + ":sha256-" + config.Hex[:digits]
	tagged := ociimage.Tagged{Image: image, Refs: []string{o.staticRef(), contentRef}}
	if err := ociimage.WriteArchive(o.Output, tagged); err != nil {
		return Image{}, err
	}
	info, err := os.Stat(o.Output)
	if err != nil {
		return Image{}, err
	}
	return Image{Path: o.Output, Size: info.Size(), StaticRef: o.staticRef(), ContentRef: contentRef}, nil
}

func (o Options) image(dir string) ociimage.Image {
	image := ociimage.Image{
		Arch:       o.Arch,
		Entrypoint: "/certgen",
		User:       user,
		Labels: map[string]string{
			"org.opencontainers.image.title":  "image-webhook",
			"org.opencontainers.image.source": "https://github.com/image-webhook/image-webhook",
		},
	}
	if o.Version != "" {
		image.Labels["org.opencontainers.image.version"] = o.Version
	}
	for _, p := range o.programs() {
		image.Files = append(image.Files, ociimage.File{Path: p.path, Source: filepath.Join(dir, p.fileName())})
	}
	return image
}
