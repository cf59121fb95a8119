package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// registryRepository is the name of the registry's image, which is loaded into the nodes and
// never pulled.
const registryRepository = "image-webhook.dev/registry"

// registryRef returns the reference of the registry's image, and the top of the checkout. The
// tag is a hash of the registry's sources and manifests, so that a change in them replaces a
// running registry.
func registryRef(ctx context.Context) (ref, root string, err error) {
	if root, err = workspace.Root(ctx); err != nil {
		return "", "", err
	}
	sources, err := filepath.Glob(filepath.Join(registryDir(root), "*.*"))
	if err != nil {
		return "", "", err
	}
	manifests, err := filepath.Glob(filepath.Join(root, "tools", "devcluster", "mirror", "*.yaml"))
	if err != nil {
		return "", "", err
	}
	key, err := gobuild.Key(ctx, registryDir(root), gobuild.DefaultFlags, slices.Concat(sources, manifests)...)
	return registryRepository + ":" + key, root, err
}

func registryDir(root string) string { return filepath.Join(root, "tools", "images", "registry") }

// loadRegistry loads the registry's image into the nodes, unless they have it. It builds the
// image first if it is not in the cache.
func (m *Mirror) loadRegistry(ctx context.Context, root, ref string) error {
	if m.cluster.HasImage(ctx, ref) {
		return nil
	}
	cache, err := workspace.CacheDir("mirror")
	if err != nil {
		return err
	}
	archive := filepath.Join(cache, "registry-"+ref[len(registryRepository)+1:]+".tar")
	if _, err := os.Stat(archive); err != nil {
		if err := m.buildRegistry(ctx, root, ref, archive); err != nil {
			return fmt.Errorf("build the image of the mirror's registry: %w", err)
		}
		removeOldArchives(archive)
	}
	if err := m.cluster.LoadArchive(ctx, archive); err != nil {
		_ = os.Remove(archive) // the archive may be damaged: the next run builds it again
		return err
	}
	return nil
}

// buildRegistry compiles the registry and writes its image to archive.
func (m *Mirror) buildRegistry(ctx context.Context, root, ref, archive string) error {
	return m.report.Step("build the image of the mirror's registry", func(step *progress.Step) error {
		work, err := os.MkdirTemp("", "image-webhook-registry-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		program := gobuild.Program{Package: "github.com/image-webhook/image-webhook/tools/images/registry", Output: filepath.Join(work, "registry")}
		if err := gobuild.Build(ctx, gobuild.Module{Dir: registryDir(root)}, step, program); err != nil {
			return err
		}
		image, err := ociimage.Image{
			Files:      []ociimage.File{{Path: "/registry", Source: program.Output}},
			Entrypoint: "/registry",
		}.Build(filepath.Join(work, "layer.tar"))
		if err != nil {
			return err
		}
		return ociimage.WriteArchive(archive, ociimage.Tagged{Image: image, Refs: []string{ref}})
	})
}

// removeOldArchives removes all archives of the registry's image except current.
func removeOldArchives(current string) {
	archives, _ := filepath.Glob(filepath.Join(filepath.Dir(current), "registry-*.tar"))
	for _, archive := range archives {
		if archive != current {
			_ = os.Remove(archive)
		}
	}
}
