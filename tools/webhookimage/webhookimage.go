// Package webhookimage builds the image of image-webhook from the checkout. The image has one
// layer of static programs for Linux, without a base image. Root owns the programs, and user
// 65532 runs them.
//
// The same sources give the same bytes. The archive has one image with two references: a
// static reference, and a content reference that contains the image's digest. A Deployment
// with the content reference rolls out only when the content has changed.
package webhookimage

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

const (
	// repository is the image's name. The image is loaded into the nodes and never pulled.
	repository = "image-webhook.dev/image-webhook"

	// StaticRef is the static reference, which the manifests of deploy/ contain.
	StaticRef = repository + ":dev"

	// user is the usual ID of the user "nonroot" in images without a user database.
	user = "65532:65532"

	// digestDigits is the length of the digest in a content reference, which must be unique
	// in a cluster.
	digestDigits = 12
)

// program is a file of the image and its Go package.
type program struct{ path, pkg string }

// programs are the image's files, in the order of the layer.
var programs = []program{
	{"/certgen", "./webhook/cmd/certgen"},
	{"/image-webhook", "./webhook/cmd/image-webhook"},
	{"/namespace-owner", "./webhook/cmd/namespace-owner"},
}

// supervisePrograms are the additional files of a supervised image, in which the webhook's
// program can be replaced while the container runs.
var supervisePrograms = []program{
	{"/supervise", "./tools/images/supervise"},
	{"/bin/tar", "./tools/images/supervise"},
}

// Options configure a build. Only Root is required.
type Options struct {
	Root   string // the top of the checkout
	Arch   string // GOARCH; empty: this machine's
	Output string // the archive; empty: a file in the user's cache directory

	// Version is the version in `image-webhook version` and in a label. It is empty for
	// unreleased images, so that their bytes depend only on the sources.
	Version string

	// Supervised adds the program supervise, for development. The image then has another
	// static reference than StaticRef, so that the manifests never use it.
	Supervised bool
}

func (o Options) programs() []program {
	if o.Supervised {
		return slices.Concat(programs, supervisePrograms)
	}
	return programs
}

func (o Options) staticRef() string {
	if o.Supervised {
		return repository + ":supervised"
	}
	return StaticRef
}

func (o Options) fileName() string {
	if o.Supervised {
		return "supervised-" + o.Arch + ".tar"
	}
	return "image-webhook-" + o.Arch + ".tar"
}

// Image describes a finished archive.
type Image struct {
	Path       string
	Size       int64
	StaticRef  string
	ContentRef string
}

// Build writes the archive and returns a description of it. It replaces an existing archive
// atomically.
func Build(ctx context.Context, o Options, report *progress.Reporter) (Image, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Image{}, err
	}
	dir, err := os.MkdirTemp("", "image-webhook-image-")
	if err != nil {
		return Image{}, fmt.Errorf("create a working directory: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := o.compile(ctx, dir, report); err != nil {
		return Image{}, fmt.Errorf("compile the webhook for linux/%s: %w", o.Arch, err)
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
		return o, fmt.Errorf("invalid architecture %q: use one of %s", o.Arch, strings.Join(architectures, ", "))
	}
	if o.Version != "" && !semver.IsValid(o.Version) {
		return o, fmt.Errorf("invalid version %q: use one such as v1.2.3", o.Version)
	}
	if o.Output == "" {
		dir, err := workspace.CacheDir("image")
		if err != nil {
			return o, err
		}
		o.Output = filepath.Join(dir, o.fileName())
	}
	output, err := filepath.Abs(o.Output) // go build runs in another directory
	if err != nil {
		return o, err
	}
	o.Output = output
	return o, os.MkdirAll(filepath.Dir(output), 0o755)
}

// architectures are the architectures of Kubernetes nodes.
var architectures = []string{"amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"}

// compile compiles all programs in one build.
func (o Options) compile(ctx context.Context, dir string, report *progress.Reporter) error {
	var programs []gobuild.Program
	for _, p := range o.programs() {
		compiled := gobuild.Program{Package: p.pkg, Output: filepath.Join(dir, p.fileName())}
		if !slices.Contains(programs, compiled) { // one package can be two files of the image
			programs = append(programs, compiled)
		}
	}
	return report.Step("compile the webhook for linux/"+o.Arch, func(step *progress.Step) error {
		return gobuild.Build(ctx, gobuild.Module{Dir: o.Root, Arch: o.Arch, Flags: o.flags()}, step, programs...)
	})
}

// flags returns the flags of `go build`; nil: the default.
func (o Options) flags() []string {
	if o.Version == "" {
		return nil
	}
	return gobuild.VersionFlags(o.Version)
}

// fileName returns the name of the compiled program in the working directory.
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
	contentRef := repository + ":sha256-" + config.Hex[:digestDigits]
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
