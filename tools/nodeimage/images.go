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

// writeImages writes one archive with every image of the control plane. Each is
// one static program in a scratch image; only kube-proxy needs more beside it.
func (b *build) writeImages(ctx context.Context, archive string) error {
	refs, err := b.controlPlaneRefs(ctx)
	if err != nil {
		return err
	}
	var images []ociimage.Tagged
	for _, ref := range refs {
		program, _, _ := strings.Cut(path.Base(ref), ":")
		image, err := b.scratchImage(program)
		if err != nil {
			return fmt.Errorf("make the image %s: %w", ref, err)
		}
		images = append(images, ociimage.Tagged{Image: image, Refs: []string{ref}})
	}
	return ociimage.WriteArchive(archive, images...)
}

// controlPlaneRefs are the names under which kubeadm and containerd will ask
// for the images.
func (b *build) controlPlaneRefs(ctx context.Context) ([]string, error) {
	listed, err := subprocess.Command{Args: []string{
		b.path("kubeadm"), "config", "images", "list", "--kubernetes-version", b.kubernetes.Release,
	}}.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask kubeadm for its images: %w", err)
	}
	sandbox, err := b.sandboxRef()
	if err != nil {
		return nil, err
	}
	refs := []string{sandbox}
	for ref := range strings.FieldsSeq(listed) {
		if !strings.Contains(ref, "/pause:") { // containerd's own name for it counts
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

var sandboxImage = regexp.MustCompile(`(?m)^\s*sandbox_image = "(.+)"`)

// sandboxRef reads the name of the pause image from kind's containerd
// configuration.
func (b *build) sandboxRef() (string, error) {
	path := filepath.Join(b.kind, "images", "base", "files", "etc", "containerd", "config.toml")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read kind's containerd configuration: %w", err)
	}
	match := sandboxImage.FindSubmatch(content)
	if match == nil {
		return "", fmt.Errorf("%s names no sandbox_image", path)
	}
	return string(match[1]), nil
}

// scratchImage holds the program where the pod of kubeadm expects it: on the
// PATH, and CoreDNS at the root.
func (b *build) scratchImage(program string) (v1.Image, error) {
	at := "/usr/local/bin/" + program
	if program == "coredns" || program == "pause" {
		at = "/" + program
	}
	image := ociimage.Image{
		Files:      []ociimage.File{{Path: at, Source: b.path(program)}},
		Entrypoint: at,
	}
	if program == "kube-proxy" {
		image.More = func(layer *tar.Writer) error { return addNetfilter(layer, b.rootfs) }
	}
	return image.Build(filepath.Join(b.work, program+".tar"))
}

// netfilter matches what iptables, nft and conntrack consist of in a merged-usr
// Debian: the programs and their alternatives, the libraries and the links to
// them. It is what kube-proxy calls.
var netfilter = regexp.MustCompile(`^\./(` + strings.Join([]string{
	`usr/sbin/(ip6?tables|xtables|arptables|ebtables|nft$|conntrack$)`,
	`etc/alternatives/(ip6?tables|arptables|ebtables)`,
	`usr/lib/[^/]+-linux-gnu/(xtables/|[^/]+\.so(\.|$))`,
	`usr/lib64/ld-`,
	`(bin|sbin|lib|lib64)$`,
}, "|") + `)`)

// addNetfilter copies kube-proxy's helpers out of the root filesystem.
func addNetfilter(out *tar.Writer, rootfs string) error {
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
		if !netfilter.MatchString(strings.TrimSuffix(header.Name, "/")) {
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
