// Package image parses image references, decides which images may run, and applies mirror
// rules. It is pure: no Kubernetes types, no I/O, no logging.
//
// Parse parses a reference once; everything else uses the parsed Reference.
//
// References have the grammar of github.com/distribution/reference, the parser of Docker,
// containerd and the kubelet:
//
//	reference = [ registry "/" ] path [ ":" tag ] [ "@" digest ]
//	registry  = host [ ":" port ]
//	path      = component *( "/" component )
//
// They are normalized like in Docker. The first component is a registry only if it has a
// dot, a colon or an upper-case letter, or is localhost. Without a registry the image is on
// docker.io, which is also called index.docker.io. There, an image with one component is
// below library/. So nginx means docker.io/library/nginx. A reference without tag and digest
// means the tag latest.
//
// The list of mirror rules is written as
//
//	rules   = [ item *( "," item ) ]
//	item    = mirror                    ; the mirror of docker.io
//	        | pattern ":" [ mirror ]    ; only if neither side has a port
//	        | pattern "=" [ mirror ]
//	pattern = registry [ "/" path ]
//	        | "*"                       ; all other registries
//	mirror  = registry [ "/" path ]
//
// Patterns match whole path components of normalized references: docker.io/library/nginx is
// the image nginx, docker.io/bitnami is every image below bitnami. The rule with the longest
// matching pattern applies; the order does not matter. It replaces the pattern by the mirror
// and keeps the rest of the path, the tag and the digest byte for byte. A rule without a
// mirror leaves the image unchanged. The wildcard is the shortest pattern and never matches a
// registry that is a mirror of another rule. Rules that ParseMirrors accepts converge:
// rewriting a rewritten reference changes nothing. The number of rules and patterns does not
// change how long it takes to rewrite and to check a reference.
//
// Policy decides whether an image may run: its tag, its digest, its registry, and whether it is
// denied by name. Policy.Validate refuses rules that contradict each other.
package image

import (
	// go-digest supports the hash algorithms that are linked into the program. Without
	// these two imports, references with a digest would be invalid in programs in which
	// nothing else (such as crypto/tls) links them.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

const (
	dockerHub   = "docker.io"
	dockerIndex = "index.docker.io" // another name of docker.io
	latestTag   = "latest"
	// maxLength is the maximum size of a reference in bytes. A DNS name with a port (259),
	// a path (255), a tag (128) and the longest digest (135) are well below it. The parser
	// would need a second for the megabytes that a pod can contain.
	maxLength = 1024
)

// errInvalid is wrapped by every error of Parse, followed by the parser's reason.
var errInvalid = errors.New("invalid reference format")

// Reference is a parsed image reference. The zero value is not a reference.
type Reference struct {
	Written  string // the argument of Parse; it ends with the tag and the digest
	Registry string // docker.io if the written form has none
	Path     string // library/nginx if the written form is nginx
	Tag      string // empty if the written form has none
	Digest   string // algorithm:hex, or empty
}

// Parse parses a reference like Docker and the kubelet, except that a reference of more than
// 1024 bytes is invalid.
func Parse(s string) (Reference, error) {
	if len(s) > maxLength {
		return Reference{}, fmt.Errorf("%w: longer than %d bytes", errInvalid, maxLength)
	}
	if ref, ok := parseCommon(s); ok {
		return ref, nil
	}
	return parseAny(s)
}

// parseAny parses every reference that parseCommon leaves to the parser.
func parseAny(s string) (Reference, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, invalid(err)
	}
	ref := Reference{Written: s, Registry: reference.Domain(named), Path: reference.Path(named)}
	if ref.Registry == "" {
		// The parser treats a host with an underscore as part of the path, without adding
		// docker.io. A container runtime connects to that host.
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

// invalid returns errInvalid with the parser's reason, which sometimes begins with the same
// words.
func invalid(err error) error {
	reason := strings.TrimPrefix(err.Error(), errInvalid.Error())
	if reason = strings.TrimPrefix(reason, ": "); reason == "" {
		return errInvalid
	}
	return fmt.Errorf("%w: %s", errInvalid, reason)
}

// floatingTag returns the tag that decides which image is pulled: latest if there is no tag,
// or an empty string if a digest pins the image.
func (r Reference) floatingTag() string {
	switch {
	case r.Digest != "":
		return ""
	case r.Tag == "":
		return latestTag
	}
	return r.Tag
}

// suffix returns the tag and the digest with their separators: the end of the written form.
func (r Reference) suffix() string {
	start := len(r.Written)
	if r.Tag != "" {
		start -= len(":") + len(r.Tag)
	}
	if r.Digest != "" {
		start -= len("@") + len(r.Digest)
	}
	return r.Written[start:]
}

// name returns the name in its canonical spelling.
func (r *Reference) name() name { return name{registry: canonical(r.Registry), path: r.Path} }

// String returns the complete reference: registry, path, tag and digest.
func (r Reference) String() string {
	return r.Registry + "/" + r.Path + r.suffix()
}

// familiar returns the short form that users write, without the parts that Docker adds. It
// returns the complete reference if the short form would mean another image.
func (r Reference) familiar() string {
	if r.Registry != dockerHub {
		return r.String()
	}
	short := strings.TrimPrefix(r.Path, "library/")
	first, _, nested := strings.Cut(short, "/")
	ambiguous := nested && (short != r.Path || isRegistry(first)) // library/a/b, or a.b/c
	if ambiguous || r.suffix() == "" && isHexID(short) {
		return r.String()
	}
	return short + r.suffix()
}

// isRegistry reports whether Docker treats the first of several components of a lower-case
// reference as a registry.
func isRegistry(component string) bool {
	return component == "localhost" || strings.ContainsAny(component, ".:")
}

// isHexID reports whether s is 64 hexadecimal digits, which the parser refuses because Docker
// treats them as the ID of an image.
func isHexID(s string) bool { return isHex(s, 64) }

// isHex reports whether s is a lower-case hexadecimal number with that many digits.
func isHex(s string, digits int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == digits
}
