package monitoring

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/prometheus"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// repository is the name of the image of Prometheus, which is loaded into the nodes and never
// pulled.
const repository = "image-webhook.dev/prometheus"

// imageRef returns the reference of the image of Prometheus, and the top of the checkout. The tag
// is the key of the program in the cache.
func imageRef(ctx context.Context) (root, ref string, err error) {
	if root, err = workspace.Root(ctx); err != nil {
		return "", "", err
	}
	key, err := prometheus.Key(ctx, root)
	return root, repository + ":" + key, err
}

// loadImage loads the image of Prometheus into the nodes. The cache has only the program, because
// the archive is as large and takes a moment to write.
func (m *Monitoring) loadImage(ctx context.Context, root, ref string) error {
	program, err := prometheus.Build(ctx, m.report, root, prometheus.Server)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "image-webhook-prometheus-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	archive := filepath.Join(work, filepath.Base(program)+".tar")
	if err := writeArchive(archive, program, ref); err != nil {
		return fmt.Errorf("build the image of Prometheus: %w", err)
	}
	return m.cluster.LoadArchive(ctx, archive)
}

func writeArchive(archive, program, ref string) error {
	image, err := ociimage.Image{
		Files:      []ociimage.File{{Path: "/prometheus", Source: program}},
		Entrypoint: "/prometheus",
	}.Build(archive + ".layer")
	if err != nil {
		return err
	}
	return ociimage.WriteArchive(archive, ociimage.Tagged{Image: image, Refs: []string{ref}})
}
