package devcluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/image/archive"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/scratch"
)

// Load builds the webhook's image and puts it on every node. It returns the
// reference that names this very content.
func (c *Cluster) Load(ctx context.Context) (contentRef string, err error) {
	image, err := archive.Build(ctx, archive.Options{Root: c.root}, c.report)
	if err != nil {
		return "", err
	}
	return image.ContentRef, c.LoadArchive(ctx, image.Path)
}

// LoadArchive puts the images of an archive, as `docker save` writes them, on
// every node.
func (c *Cluster) LoadArchive(ctx context.Context, path string) error {
	err := c.report.Step("load "+filepath.Base(path)+" into cluster "+c.Name, func(*progress.Step) error {
		return uninterrupted(ctx, func() error { return c.loadArchive(path) })
	})
	if err != nil {
		return fmt.Errorf("load %s into cluster %s: %w", path, c.Name, err)
	}
	return nil
}

func (c *Cluster) loadArchive(path string) error {
	found, err := c.nodes()
	if err != nil {
		return err
	}
	for _, node := range found {
		content, err := os.Open(path)
		if err != nil {
			return err
		}
		err = nodeutils.LoadImageArchive(node, content)
		content.Close()
		if err != nil {
			return explainKind(err)
		}
	}
	return nil
}

// LoadStandIn puts a tiny image on every node under each of refs. Its program
// does nothing but wait, so a pod that uses it reaches Running where no registry
// holds what the reference names.
func (c *Cluster) LoadStandIn(ctx context.Context, refs ...string) error {
	dir, err := os.MkdirTemp(c.dir, "stand-in-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "stand-in.tar")
	if err := c.writeStandIn(ctx, path, refs); err != nil {
		return fmt.Errorf("make a stand-in image: %w", err)
	}
	return c.LoadArchive(ctx, path)
}

func (c *Cluster) writeStandIn(ctx context.Context, path string, refs []string) error {
	build := command.Command{
		Args: []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", path + ".program", "./tools/pause"},
		Dir:  c.root,
		Env:  []string{"CGO_ENABLED=0", "GOOS=linux"},
	}
	if err := build.Run(ctx); err != nil {
		return err
	}
	var images []scratch.Tagged
	for _, ref := range refs {
		standIn := scratch.Image{
			Files:      []scratch.File{{Path: "/pause", Source: path + ".program"}},
			Entrypoint: "/pause",
			// To a node, images with the same bytes are one image with many names.
			Labels: map[string]string{"image-webhook.dev/stand-in-for": ref},
		}
		image, err := standIn.Build(path + ".layer")
		if err != nil {
			return err
		}
		images = append(images, scratch.Tagged{Image: image, Refs: []string{ref}})
	}
	return scratch.WriteArchive(path, images...)
}
