package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const (
	probeRef = "image-webhook.dev/privileged-probe:v1"
	// probeProgram exits immediately with code 0.
	probeProgram = "package main\n\nfunc main() {}\n"
)

var (
	errNoDocker     = errors.New("docker is not installed")
	errNoDaemon     = errors.New("the Docker daemon does not answer")
	errNoPrivileged = errors.New("the Docker daemon cannot start a privileged container, which kind needs for its nodes")
)

// probeDocker starts a privileged container that does nothing. The host may withhold
// capabilities that kind needs, even if the daemon answers. The image is built here, so that
// the probe needs no registry.
func probeDocker(ctx context.Context) error {
	if _, err := exec.LookPath(Docker); err != nil {
		return errNoDocker
	}
	e := &Engine{Name: Docker}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if e.Run(ctx, nil, "version", "--format", "{{.Server.Version}}") != nil {
		return errNoDaemon
	}
	if !e.HasImage(ctx, probeRef) {
		if err := e.loadProbe(ctx); err != nil {
			return fmt.Errorf("build the image that tests Docker: %w", err)
		}
	}
	if e.Run(ctx, nil, "run", "--rm", "--privileged", "--network=none", probeRef) != nil {
		return errNoPrivileged
	}
	return nil
}

// loadProbe loads the image with probeProgram.
func (e *Engine) loadProbe(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "image-webhook-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	source, program, archive := filepath.Join(dir, "main.go"), filepath.Join(dir, "probe"), filepath.Join(dir, "probe.tar")
	if err := os.WriteFile(source, []byte(probeProgram), 0o644); err != nil {
		return err
	}
	build := subprocess.Command{Args: []string{"go", "build", "-o", program, source}, Env: []string{"CGO_ENABLED=0", "GOOS=linux"}}
	if err := build.Run(ctx); err != nil {
		return err
	}
	probe := ociimage.Image{Files: []ociimage.File{{Path: "/probe", Source: program}}, Entrypoint: "/probe"}
	image, err := probe.Build(archive + ".layer")
	if err != nil {
		return err
	}
	if err := ociimage.WriteArchive(archive, ociimage.Tagged{Image: image, Refs: []string{probeRef}}); err != nil {
		return err
	}
	return e.Run(ctx, nil, "load", "--input", archive)
}
