package devcluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
)

// Load builds the webhook's image and loads it into all nodes. It returns the reference that
// contains the image's digest.
func (c *Cluster) Load(ctx context.Context) (contentRef string, err error) {
	return c.load(ctx, webhookimage.Options{})
}

// LoadSupervised is like Load, but the image runs the webhook with the program supervise.
func (c *Cluster) LoadSupervised(ctx context.Context) (contentRef string, err error) {
	return c.load(ctx, webhookimage.Options{Supervised: true})
}

func (c *Cluster) load(ctx context.Context, options webhookimage.Options) (contentRef string, err error) {
	image, err := c.BuildImage(ctx, options)
	if err != nil {
		return "", err
	}
	return image.ContentRef, c.LoadArchive(ctx, image.Path)
}

// BuildImage builds the webhook's image from the checkout.
func (c *Cluster) BuildImage(ctx context.Context, options webhookimage.Options) (webhookimage.Image, error) {
	options.Root = c.root
	return webhookimage.Build(ctx, options, c.report)
}

// HasImage reports whether all nodes have an image.
func (c *Cluster) HasImage(ctx context.Context, ref string) bool {
	return c.RunOnNodes(ctx, "sh", "-c", "ctr --namespace=k8s.io images ls --quiet name=="+ref+" | grep --quiet .") == nil
}

// LoadArchive loads the images of an archive in the format of `docker save` into all nodes.
func (c *Cluster) LoadArchive(ctx context.Context, path string) error {
	err := c.report.Step("load "+filepath.Base(path)+" into cluster "+c.Name, func(*progress.Step) error {
		return c.loadArchive(ctx, path)
	})
	if err != nil {
		return fmt.Errorf("load %s into cluster %s: %w", path, c.Name, err)
	}
	return nil
}

func (c *Cluster) loadArchive(ctx context.Context, path string) error {
	return c.onNodes(ctx, func(node nodes.Node) error {
		content, err := os.Open(path)
		if err != nil {
			return err
		}
		defer content.Close()
		return nodeutils.LoadImageArchive(node, content)
	})
}
