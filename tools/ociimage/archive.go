package ociimage

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/renameio/v2"
)

// Tagged is an image and its references in an archive.
type Tagged struct {
	Image v1.Image
	Refs  []string
}

// WriteArchive writes images to one archive in the format of `docker save`. It replaces the
// file atomically. The same images give the same bytes, unlike with package tarball, which
// orders images and references randomly.
func WriteArchive(path string, images ...Tagged) error {
	if err := checkRefs(images); err != nil {
		return err
	}
	file, err := renameio.NewPendingFile(path, renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	archive := tar.NewWriter(file)
	if err := errors.Join(addImages(archive, images), archive.Close()); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

func checkRefs(images []Tagged) error {
	for _, image := range images {
		for _, ref := range image.Refs {
			if _, err := name.NewTag(ref, name.StrictValidation); err != nil {
				return fmt.Errorf("invalid image reference %q: %w", ref, err)
			}
		}
	}
	return nil
}

func addImages(archive *tar.Writer, images []Tagged) error {
	var manifest tarball.Manifest
	for _, image := range images {
		descriptor, err := addImage(archive, image)
		if err != nil {
			return fmt.Errorf("write image %s: %w", image.Refs[0], err)
		}
		manifest = append(manifest, descriptor)
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	return addFile(archive, "manifest.json", bytes.NewReader(content), int64(len(content)))
}

func addImage(archive *tar.Writer, image Tagged) (descriptor tarball.Descriptor, err error) {
	config, err := image.Image.ConfigName()
	if err != nil {
		return descriptor, err
	}
	content, err := image.Image.RawConfigFile()
	if err != nil {
		return descriptor, err
	}
	layer, err := addLayer(archive, image.Image)
	if err != nil {
		return descriptor, err
	}
	descriptor = tarball.Descriptor{Config: config.String(), RepoTags: image.Refs, Layers: []string{layer}}
	return descriptor, addFile(archive, config.String(), bytes.NewReader(content), int64(len(content)))
}

// addLayer adds the image's only layer and returns the name of its file.
func addLayer(archive *tar.Writer, image v1.Image) (string, error) {
	layers, err := image.Layers()
	if err != nil {
		return "", err
	}
	digest, err := layers[0].Digest()
	if err != nil {
		return "", err
	}
	size, err := layers[0].Size()
	if err != nil {
		return "", err
	}
	content, err := layers[0].Compressed()
	if err != nil {
		return "", err
	}
	defer content.Close()
	name := digest.Hex + ".tar.gz"
	return name, addFile(archive, name, content, size)
}

// addFile adds a file without a time and an owner, which would differ between runs.
func addFile(archive *tar.Writer, name string, content io.Reader, size int64) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}
