package nodeimage

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// writeImages writes one archive with all images of the control plane. Each image contains
// one static program; only kube-proxy needs further files.
func (b *builder) writeImages(ctx context.Context, archive string) error {
	refs, err := b.controlPlaneRefs(ctx)
	if err != nil {
		return err
	}
	var images []ociimage.Tagged
	for _, ref := range refs {
		program, _, _ := strings.Cut(path.Base(ref), ":")
		image, err := b.programImage(program)
		if err != nil {
			return fmt.Errorf("build the image %s: %w", ref, err)
		}
		images = append(images, ociimage.Tagged{Image: image, Refs: []string{ref}})
	}
	return ociimage.WriteArchive(archive, images...)
}

// controlPlaneRefs returns the references by which kubeadm and containerd request the
// images.
func (b *builder) controlPlaneRefs(ctx context.Context) ([]string, error) {
	listed, err := subprocess.Command{Args: []string{
		b.programPath("kubeadm"), "config", "images", "list", "--kubernetes-version", b.kubernetes.Release,
	}}.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the images with kubeadm: %w", err)
	}
	sandbox, err := b.sandboxRef()
	if err != nil {
		return nil, err
	}
	refs := []string{sandbox}
	for ref := range strings.FieldsSeq(listed) {
		if !strings.Contains(ref, "/pause:") { // containerd requests it by sandboxRef
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

var sandboxImage = regexp.MustCompile(`(?m)^\s*sandbox_image = "(.+)"`)

// sandboxRef returns the reference of the pause image in kind's configuration of
// containerd.
func (b *builder) sandboxRef() (string, error) {
	path := filepath.Join(b.kindDir, "images", "base", "files", "etc", "containerd", "config.toml")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("find the pause image: read kind's configuration of containerd: %w", err)
	}
	match := sandboxImage.FindSubmatch(content)
	if match == nil {
		return "", fmt.Errorf("find the pause image: %s has no sandbox_image: adapt tools/nodeimage to this version of kind", path)
	}
	return string(match[1]), nil
}

// programImage returns an image with the program at the path where kubeadm's pods expect
// it: CoreDNS and pause at the root, the others on the PATH.
func (b *builder) programImage(program string) (v1.Image, error) {
	target := "/usr/local/bin/" + program
	if program == "coredns" || program == "pause" {
		target = "/" + program
	}
	image := ociimage.Image{
		Files:      []ociimage.File{{Path: target, Source: b.programPath(program)}},
		Entrypoint: target,
	}
	if program == "kube-proxy" {
		image.AddFiles = func(layer *tar.Writer) error { return addNetfilterFiles(layer, b.rootfs) }
	}
	return image.Build(filepath.Join(b.workDir, program+".tar"))
}

// netfilterFiles matches the files of iptables, nft and conntrack, which kube-proxy calls,
// in a merged-usr Debian: the programs and their alternatives, the libraries and the links
// to them.
var netfilterFiles = regexp.MustCompile(`^\./(` + strings.Join([]string{
	`usr/sbin/(ip6?tables|xtables|arptables|ebtables|nft$|conntrack$)`,
	`etc/alternatives/(ip6?tables|arptables|ebtables)`,
	`usr/lib/[^/]+-linux-gnu/(xtables/|[^/]+\.so(\.|$))`,
	`usr/lib64/ld-`,
	`(bin|sbin|lib|lib64)$`,
}, "|") + `)`)

// addNetfilterFiles copies the programs that kube-proxy calls from the root filesystem.
func addNetfilterFiles(out *tar.Writer, rootfs string) error {
	file, err := os.Open(rootfs)
	if err != nil {
		return err
	}
	defer file.Close()
	in := tar.NewReader(file)
	for {
		header, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", rootfs, err)
		}
		if !netfilterFiles.MatchString(strings.TrimSuffix(header.Name, "/")) {
			continue
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
