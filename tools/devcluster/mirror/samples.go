package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// Sample is an image that this project builds, with the name of a well-known image.
type Sample struct {
	Name string // repository and tag in the mirror, such as "library/nginx:1.25"
	Addr string // address of its web server; empty: it runs the pause program
	Page string // content that the web server serves; empty: a line with the name
}

// Samples are the images in the mirror of each cluster.
var Samples = []Sample{
	{Name: "library/nginx:1.25", Addr: ":80"},
	{Name: "bitnami/redis:7.2", Addr: ":6379"},
	{Name: "pause:3.10"},
}

func (s Sample) page() string {
	if s.Page != "" {
		return s.Page
	}
	return "This is " + s.Name + ", a sample image from the mirror.\n"
}

// program returns the name of the sample's program.
func (s Sample) program() string {
	if s.Addr == "" {
		return "pause"
	}
	return "sample"
}

// SampleBuilder builds sample images. Its directory must exist until the images are pushed.
type SampleBuilder struct {
	Dir string // contains the programs of the samples
}

// NewSampleBuilder compiles the programs of the samples into a new directory.
func NewSampleBuilder(ctx context.Context, report *progress.Reporter) (*SampleBuilder, error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "image-webhook-samples-")
	if err != nil {
		return nil, err
	}
	err = report.Step("compile the programs of the sample images", func(step *progress.Step) error {
		return gobuild.Build(ctx, gobuild.Module{Dir: root}, step,
			gobuild.Program{Package: "./tools/images/pause", Output: filepath.Join(dir, "pause")},
			gobuild.Program{Package: "./tools/images/sample", Output: filepath.Join(dir, "sample")})
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("compile the programs of the sample images: %w", err)
	}
	return &SampleBuilder{dir}, nil
}

// Close removes the builder's directory.
func (b *SampleBuilder) Close() error { return os.RemoveAll(b.Dir) }

// build returns the image of s. The digest depends only on s and the sources of its program.
func (b *SampleBuilder) build(s Sample) (v1.Image, error) {
	dir, err := os.MkdirTemp(b.Dir, "image-")
	if err != nil {
		return nil, err
	}
	image := ociimage.Image{
		Files:      []ociimage.File{{Path: "/" + s.program(), Source: filepath.Join(b.Dir, s.program())}},
		Entrypoint: "/" + s.program(),
		Labels:     map[string]string{"org.opencontainers.image.title": s.Name},
	}
	if s.Addr != "" {
		page := filepath.Join(dir, "index.html")
		if err := os.WriteFile(page, []byte(s.page()), 0o644); err != nil {
			return nil, err
		}
		image.Files = append(image.Files, ociimage.File{Path: "/www/index.html", Source: page})
		image.Args = []string{"--addr=" + s.Addr}
	}
	return image.Build(filepath.Join(dir, "layer.tar"))
}

// PushSamples builds samples and pushes them to the mirror. It overwrites tags that have
// another image.
func (m *Mirror) PushSamples(ctx context.Context, builder *SampleBuilder, samples ...Sample) error {
	return m.report.Step("push the sample images", func(step *progress.Step) error {
		client, err := Connect(ctx, m.config, Name)
		if err != nil {
			return err
		}
		defer client.Close()
		for _, sample := range samples {
			step.SetDetail(sample.Name)
			if _, err := builder.Push(ctx, client, sample); err != nil {
				return err
			}
		}
		return nil
	})
}

// Push builds the image of s and pushes it to a registry.
func (b *SampleBuilder) Push(ctx context.Context, registry *Client, s Sample) (v1.Image, error) {
	image, err := b.build(s)
	if err != nil {
		return nil, fmt.Errorf("build the sample image %s: %w", s.Name, err)
	}
	return image, registry.Push(ctx, s.Name, image)
}
