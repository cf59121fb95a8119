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

// Load builds the webhook's image and puts it on every node. It returns the
// reference that names this very content.
func (c *Cluster) Load(ctx context.Context) (contentRef string, err error) {
	return c.load(ctx, webhookimage.Options{})
}

// LoadSupervised is Load for the image in which the command supervise runs the webhook.
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

// LoadArchive puts the images of an archive, as `docker save` writes them, on
// every node.
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
