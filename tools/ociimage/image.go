// Package ociimage builds container images without a daemon, a base image or a registry. An
// image has one layer of files and a configuration. The same files give the same bytes in
// every run and on every machine.
package ociimage

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// File is a program in the image. Root owns it, and all users may run it.
type File struct {
	Path   string // in the image, such as "/certgen"
	Source string // the file on this machine
}

// Image describes an image to build.
type Image struct {
	Files []File // in the order of the layer
	// AddFiles adds other files to the layer; nil: none.
	AddFiles   func(*tar.Writer) error
	Arch       string // GOARCH; empty: this machine's
	Entrypoint string
	Args       []string // arguments of the entrypoint; a pod can replace them
	User       string   // "uid:gid"; empty: root
	Labels     map[string]string
}

// Build returns the image. It writes the layer to the file layer, which must exist until the
// image is written.
func (i Image) Build(layer string) (v1.Image, error) {
	if err := i.writeLayer(layer); err != nil {
		return nil, err
	}
	// With caching, the layer is compressed once, for the digest and for the archive.
	content, err := tarball.LayerFromFile(layer, tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	i.configure(config)
	return mutate.ConfigFile(image, config)
}

func (i Image) configure(config *v1.ConfigFile) {
	config.OS, config.Architecture = "linux", i.Arch
	if i.Arch == "" {
		config.Architecture = runtime.GOARCH
	}
	config.Config.Entrypoint = []string{i.Entrypoint}
	config.Config.Cmd = i.Args
	config.Config.User = i.User
	config.Config.Labels = i.Labels
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

func (i Image) writeLayer(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	layer := tar.NewWriter(out)
	if i.AddFiles != nil {
		err = i.AddFiles(layer)
	}
	for _, f := range i.Files {
		err = errors.Join(err, f.addTo(layer))
	}
	return errors.Join(err, layer.Close(), out.Close())
}

// addTo adds the file without its time and owner, which differ between machines.
func (f File) addTo(layer *tar.Writer) error {
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: 0o555, Size: info.Size(), Typeflag: tar.TypeReg}
	if err := layer.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(layer, source)
	return err
}
