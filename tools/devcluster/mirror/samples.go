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

// Sample is an image that this project builds itself, to be found in the mirror
// under the name of a well-known one.
type Sample struct {
	Name string // repository and tag in the mirror, as "library/nginx:1.25"
	// Addr is where its web server serves the page; empty: it only waits, as the
	// pause image does.
	Addr string
	Page string // empty: one line that says the name
}

// Samples are in every mirror.
var Samples = []Sample{
	{Name: "library/nginx:1.25", Addr: ":80"},
	{Name: "bitnami/redis:7.2", Addr: ":6379"},
	{Name: "pause:3.10"},
}

func (s Sample) page() string {
	if s.Page != "" {
		return s.Page
	}
	return "This is " + s.Name + ", a sample image that came out of the mirror.\n"
}

// program is the sample's program, and so its path in the image.
func (s Sample) program() string {
	if s.Addr == "" {
		return "pause"
	}
	return "sample"
}

// Workshop makes sample images in a folder of its own, which must stay until
// they have been pushed.
type Workshop struct {
	Dir string // with the samples' programs
}

// OpenWorkshop compiles the samples' programs into a new folder.
func OpenWorkshop(ctx context.Context, report *progress.Reporter) (*Workshop, error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "image-webhook-samples-")
	if err != nil {
		return nil, err
	}
	err = report.Step("compile the sample images' programs", func(step *progress.Step) error {
		for _, name := range []string{"pause", "sample"} {
			program := gobuild.Program{Package: "./tools/images/" + name, Output: filepath.Join(dir, name)}
			if err := gobuild.Build(ctx, gobuild.Module{Dir: root}, program, step); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("compile the sample images' programs: %w", err)
	}
	return &Workshop{dir}, nil
}

// Close removes the workshop's files.
func (w *Workshop) Close() error { return os.RemoveAll(w.Dir) }

// image returns the image of s. The same sample has the same digest each time.
func (w *Workshop) image(s Sample) (v1.Image, error) {
	dir, err := os.MkdirTemp(w.Dir, "image-")
	if err != nil {
		return nil, err
	}
	image := ociimage.Image{
		Files:      []ociimage.File{{Path: "/" + s.program(), Source: filepath.Join(w.Dir, s.program())}},
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

// PushSamples has workshop make samples, and brings them into the mirror. A tag that
// names another image there is set back.
func (m *Mirror) PushSamples(ctx context.Context, workshop *Workshop, samples ...Sample) error {
	return m.report.Step("push the sample images", func(step *progress.Step) error {
		client, err := Connect(ctx, m.config, Name)
		if err != nil {
			return err
		}
		defer client.Close()
		for _, sample := range samples {
			step.SetDetail(sample.Name)
			if _, err := workshop.Push(ctx, client, sample); err != nil {
				return err
			}
		}
		return nil
	})
}

// Push makes the image of s, and brings it into a registry.
func (w *Workshop) Push(ctx context.Context, to *Client, s Sample) (v1.Image, error) {
	image, err := w.image(s)
	if err != nil {
		return nil, fmt.Errorf("make the sample image %s: %w", s.Name, err)
	}
	return image, to.Push(ctx, s.Name, image)
}
