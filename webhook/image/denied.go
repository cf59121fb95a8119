package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// DeniedImage denies images for a reason.
type DeniedImage struct {
	// Image is a pattern REGISTRY[/PATH], a reference with a tag or a digest, or *@DIGEST for a
	// digest in all registries. A tag does not match an image with a digest. A reference without a
	// registry is on docker.io, and without a tag it has the tag latest.
	Image  string
	Reason string // at most maxReason bytes
}

// maxReason is the maximum size of a reason in bytes. A denial can have several.
const maxReason = 500

// Denied is a list of denied images. The zero value is empty.
type Denied struct {
	images   []DeniedImage
	names    []name // of images
	patterns index
	exact    map[deniedKey]int // position in images
}

// deniedKey is a repository with a tag or a digest, or the wildcard with a digest. The registry is
// canonical.
type deniedKey struct{ registry, path, tag, digest string }

// NewDenied returns the list of denied images. An *ItemError names the first invalid image.
func NewDenied(images []DeniedImage) (Denied, error) {
	d := Denied{images: images, patterns: index{}, exact: map[deniedKey]int{}}
	for i, denied := range images {
		if err := d.add(i, denied); err != nil {
			return Denied{}, &ItemError{ListDenied, i, fmt.Errorf("denied image %q %w", denied.Image, err)}
		}
	}
	return d, nil
}

func (d *Denied) add(position int, denied DeniedImage) error {
	if err := checkReason(denied.Reason); err != nil {
		return err
	}
	first, err := d.insert(position, denied.Image)
	if err == nil && first != position {
		err = fmt.Errorf("is denied twice, also as %q: keep one of them", d.images[first].Image)
	}
	return err
}

func checkReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return errors.New("has no reason: say why it is denied, such as CVE-2021-44228")
	case len(reason) > maxReason:
		return fmt.Errorf("has a reason of %d bytes: use at most %d", len(reason), maxReason)
	}
	return nil
}

// insert adds an image and returns the first position of the same image.
func (d *Denied) insert(position int, image string) (first int, err error) {
	key, exact, err := parseDenied(image)
	switch {
	case err != nil:
		return 0, err
	case exact:
		d.names = append(d.names, name{registry: key.registry, path: key.path})
		return d.insertKey(position, key), nil
	}
	p, err := parsePattern(image, deniedForm)
	if err != nil {
		return 0, err
	}
	d.names = append(d.names, name{registry: p.canonical, path: p.path})
	d.patterns.add(p.canonical, p.path, position)
	first, _ = d.patterns.first(p.canonical, p.path)
	return first, nil
}

func (d *Denied) insertKey(position int, key deniedKey) (first int) {
	if first, ok := d.exact[key]; ok {
		return first
	}
	d.exact[key] = position
	return position
}

const deniedForm = "REGISTRY[/PATH], such as docker.io/bitnami, or add a tag or a digest"

// parseDenied parses an image with a tag or a digest. exact is false for other images, which are
// patterns.
func parseDenied(image string) (key deniedKey, exact bool, err error) {
	if text, ok := strings.CutPrefix(image, wildcard+"@"); ok {
		if _, err := digest.Parse(text); err != nil {
			return key, false, errors.New("has an invalid digest: use *@sha256: and 64 hexadecimal digits")
		}
		return deniedKey{registry: wildcard, digest: text}, true, nil
	}
	if image == wildcard {
		return key, false, errors.New("would deny every image: name registries or paths")
	}
	ref, err := Parse(image)
	if err != nil || ref.Tag == "" && ref.Digest == "" || isHostWithPort(image) {
		return key, false, nil
	}
	key = deniedKey{canonical(ref.Registry), ref.Path, ref.Tag, ref.Digest}
	if ref.Digest != "" {
		key.tag = "" // the digest pins the image
	}
	return key, true, nil
}

// isHostWithPort reports whether an image is rather a registry, such as mirror.example:5000, than an
// image of docker.io with a tag, such as postgres:16.
func isHostWithPort(image string) bool {
	host, port, _ := strings.Cut(image, ":")
	return isNumber(port) && !strings.Contains(host, "/") && (host == "localhost" || strings.Contains(host, "."))
}

// Len returns the number of denied images.
func (d *Denied) Len() int { return len(d.images) }

// IsEmpty reports whether the list has no image.
func (d *Denied) IsEmpty() bool { return len(d.images) == 0 }

// find returns the most specific denied image that matches one of the names of an image, or nil. The tag
// is empty if there is a digest.
func (d *Denied) find(names []name, tag, digest string) *DeniedImage {
	for i := range names {
		if position, ok := d.exact[deniedKey{names[i].registry, names[i].path, tag, digest}]; ok {
			return &d.images[position]
		}
	}
	if digest != "" {
		if position, ok := d.exact[deniedKey{registry: wildcard, digest: digest}]; ok {
			return &d.images[position]
		}
	}
	for i := range names {
		if position, ok := d.patterns.longest(names[i].registry, names[i].path); ok {
			return &d.images[position]
		}
	}
	return nil
}
