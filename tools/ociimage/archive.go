package ociimage

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Tagged is an image with the references that it gets.
type Tagged struct {
	Image v1.Image
	Refs  []string
}

// WriteArchive writes images into one archive in the format of `docker save`.
// The archive is whole or not there.
//
// The tarball package reads such archives and could write them, but puts images
// and references in random order, and an archive must have the same bytes each
// time.
func WriteArchive(path string, images ...Tagged) error {
	if err := checkRefs(images); err != nil {
		return err
	}
	// A name of its own, so that two runs at once do not write into one file.
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	archive := tar.NewWriter(file)
	err = errors.Join(addImages(archive, images), archive.Close(), file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

func checkRefs(images []Tagged) error {
	for _, image := range images {
		for _, ref := range image.Refs {
			if _, err := name.NewTag(ref, name.StrictValidation); err != nil {
				return fmt.Errorf("image reference %q: %w", ref, err)
			}
		}
	}
	return nil
}

func addImages(archive *tar.Writer, images []Tagged) error {
	var manifest tarball.Manifest
	for _, image := range images {
		described, err := addImage(archive, image)
		if err != nil {
			return fmt.Errorf("write image %s: %w", image.Refs[0], err)
		}
		manifest = append(manifest, described)
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	return add(archive, "manifest.json", bytes.NewReader(content), int64(len(content)))
}

func addImage(archive *tar.Writer, image Tagged) (described tarball.Descriptor, err error) {
	config, err := image.Image.ConfigName()
	if err != nil {
		return described, err
	}
	content, err := image.Image.RawConfigFile()
	if err != nil {
		return described, err
	}
	layer, err := addLayer(archive, image.Image)
	if err != nil {
		return described, err
	}
	described = tarball.Descriptor{Config: config.String(), RepoTags: image.Refs, Layers: []string{layer}}
	return described, add(archive, config.String(), bytes.NewReader(content), int64(len(content)))
}

// addLayer returns the name under which the manifest finds the layer.
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
	return name, add(archive, name, content, size)
}

// add writes a file that has no time and belongs to nobody.
func add(archive *tar.Writer, name string, content io.Reader, size int64) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}
