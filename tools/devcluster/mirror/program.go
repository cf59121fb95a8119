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

// registryRepository names the registry's image. Nothing is ever pulled from it.
const registryRepository = "image-webhook.dev/registry"

// registryRef names the registry's image by what it is made from and run with,
// and root, the folder of this repository's module.
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
	key, err := gobuild.Key(ctx, registryDir(root), gobuild.Small, slices.Concat(sources, manifests)...)
	return registryRepository + ":" + key, root, err
}

func registryDir(root string) string { return filepath.Join(root, "tools", "images", "registry") }

// loadRegistry puts the registry's image on the nodes if it is not there, and makes
// it first if the cache does not hold it.
func (m *Mirror) loadRegistry(ctx context.Context, root, ref string) error {
	if m.cluster.RunOnNodes(ctx, "sh", "-c", "ctr --namespace=k8s.io images ls --quiet name=="+ref+" | grep --quiet .") == nil {
		return nil
	}
	cache, err := workspace.Make("mirror")
	if err != nil {
		return err
	}
	archive := filepath.Join(cache, "registry-"+ref[len(registryRepository)+1:]+".tar")
	if _, err := os.Stat(archive); err != nil {
		if err := m.buildRegistry(ctx, root, ref, archive); err != nil {
			return fmt.Errorf("build the mirror's registry: %w", err)
		}
		removeOthers(archive)
	}
	if err := m.cluster.LoadArchive(ctx, archive); err != nil {
		_ = os.Remove(archive) // it may be damaged: the next run makes it anew
		return err
	}
	return nil
}

// buildRegistry compiles the registry and writes its image into archive.
func (m *Mirror) buildRegistry(ctx context.Context, root, ref, archive string) error {
	return m.report.Step("build the mirror's registry", func(step *progress.Step) error {
		work, err := os.MkdirTemp("", "image-webhook-registry-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		program := gobuild.Program{Package: ".", Output: filepath.Join(work, "registry")}
		if err := gobuild.Build(ctx, gobuild.Module{Dir: registryDir(root)}, program, step); err != nil {
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

// removeOthers removes the archives of earlier pins, which nobody asks for again.
func removeOthers(archive string) {
	all, _ := filepath.Glob(filepath.Join(filepath.Dir(archive), "registry-*.tar"))
	for _, other := range all {
		if other != archive {
			_ = os.Remove(other)
		}
	}
}
