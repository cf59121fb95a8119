// Package image says what an image reference is, whether it names one image
// for good, and where a mirror rule sends it. It is pure: no Kubernetes
// types, no I/O, no logging.
//
// A reference is what github.com/distribution/reference accepts, the parser
// that Docker, containerd and the kubelet use:
//
//	reference = [ registry "/" ] path [ ":" tag ] [ "@" digest ]
//	registry  = host [ ":" port ]
//	path      = component *( "/" component )
//
// It is normalised as Docker does it: the first component is a registry only
// if it has a dot, a colon or an upper-case letter, or is localhost; without
// a registry the image is on docker.io, whose other name is index.docker.io;
// and an image of one component there is under library/. So nginx means
// docker.io/library/nginx. Without tag and digest it means the tag latest.
//
// The list of mirror rules is written as
//
//	rules   = [ item *( "," item ) ]
//	item    = mirror                    ; the mirror of docker.io
//	        | pattern ":" [ mirror ]    ; only where neither side has a port
//	        | pattern "=" [ mirror ]
//	pattern = registry [ "/" path ]
//	        | "*"                       ; all other registries
//	mirror  = registry [ "/" path ]
//
// Patterns are compared with normalised references, on the boundaries of path
// components: docker.io/library/nginx is the image nginx, docker.io/bitnami is
// all that bitnami has there. The longest pattern that matches decides,
// whatever the order. Its rule replaces what the pattern names and keeps the
// rest of the path, and the tag and the digest byte for byte; without a mirror
// it leaves the image as it is. The wildcard is the shortest pattern, and never
// matches a registry to which a rule leads. Rules that ParseMirrors accepts
// converge: rewriting what was rewritten changes nothing.
//
// An image may not run if its tag is disallowed; no tag means latest, and a
// digest pins the image whatever the tag says. Policy has the rule and its
// exemptions.
package image

import (
	// go-digest finds a digest's algorithm among the hashes linked into the
	// program: without these two, every reference pinned by a digest would be
	// invalid wherever nothing else (such as crypto/tls) links them.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

const (
	dockerHub   = "docker.io"
	dockerIndex = "index.docker.io" // its other name
	latestTag   = "latest"
	// maxLength bounds a reference. A DNS name with a port (259), a path
	// (255), a tag (128) and the longest digest (135) stay well below; the
	// parser alone would spend a second on the megabytes that a pod can hold.
	maxLength = 1024
)

// ErrInvalid is what every error of Parse wraps; the parser's reason follows
// it in the error's text.
var ErrInvalid = errors.New("invalid reference format")

// Reference is an image reference, normalised. The zero value is no
// reference.
type Reference struct {
	Registry string // docker.io where none was written
	Path     string // library/nginx where nginx was written
	Tag      string // empty where none was written
	Digest   string // algorithm:hex, or empty
}

// Parse reads a reference as Docker and the kubelet read it, except that one
// of more than 1024 bytes is invalid.
func Parse(s string) (Reference, error) {
	if len(s) > maxLength {
		return Reference{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, maxLength)
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, invalid(err)
	}
	ref := Reference{Registry: reference.Domain(named), Path: reference.Path(named)}
	if ref.Registry == "" {
		// A host with an underscore: the parser counts it as a part of the path,
		// yet does not put docker.io before it, and a runtime asks that host.
		ref.Registry, ref.Path, _ = strings.Cut(ref.Path, "/")
	}
	if t, ok := named.(reference.Tagged); ok {
		ref.Tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		ref.Digest = d.Digest().String()
	}
	return ref, nil
}

// invalid puts ErrInvalid before the parser's reason, which begins with the
// same words in some cases but not in all.
func invalid(err error) error {
	reason := strings.TrimPrefix(err.Error(), ErrInvalid.Error())
	if reason = strings.TrimPrefix(reason, ": "); reason == "" {
		return ErrInvalid
	}
	return fmt.Errorf("%w: %s", ErrInvalid, reason)
}

// FloatingTag returns the tag that decides which image is pulled: latest if
// none is written, and none if a digest pins the image.
func (r Reference) FloatingTag() string {
	switch {
	case r.Digest != "":
		return ""
	case r.Tag == "":
		return latestTag
	}
	return r.Tag
}

// Suffix returns the tag and the digest as they were written, each with its
// separator.
func (r Reference) Suffix() string {
	var s string
	if r.Tag != "" {
		s = ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// String returns the reference in full: registry, path, tag and digest.
func (r Reference) String() string {
	return r.Registry + "/" + r.Path + r.Suffix()
}

// familiar returns a reference as a person writes it, without what Docker
// would add by itself. The argument must be a full reference.
func familiar(s string) string {
	short, ok := strings.CutPrefix(s, dockerHub+"/")
	if !ok {
		return s
	}
	short = strings.TrimPrefix(short, "library/")
	if ref, err := Parse(short); err != nil || ref.String() != s {
		return s
	}
	return short
}
