package image

import (
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Rewrite returns the reference on its mirror, and whether a rule applies. The rule with the
// longest matching pattern applies. A reference stays unchanged if the mirrored reference
// would be invalid or mean another image, and if it is the ID of an image on the node.
func (m Mirrors) Rewrite(ref Reference) (Reference, bool) {
	if isID(ref.Written) {
		return ref, false
	}
	r, ok := m.find(ref.Registry, ref.Path)
	if !ok || r.excludes() {
		return ref, false
	}
	mirrored, ok := ref.move(r.pattern, r.mirror)
	if !ok {
		return ref, false
	}
	return mirrored, true
}

// Origins returns the references that Rewrite sends to ref, in the short form that users
// write. There are several if mirrors share a path. There are none if ref is not on a mirror,
// or if only the wildcard sends images there, which does not keep the registry.
func (m Mirrors) Origins(ref Reference) []string {
	var names []string
	for _, origin := range m.origins(ref) {
		names = append(names, origin.familiar())
	}
	return names
}

func (m Mirrors) origins(ref Reference) (origins []Reference) {
	registry := canonical(ref.Registry)
	for _, r := range m.rules {
		if r.pattern.isWildcard() || !r.mirror.matches(registry, ref.Path) {
			continue
		}
		origin, ok := ref.move(r.mirror, r.pattern)
		if !ok {
			continue
		}
		if mirrored, ok := m.Rewrite(origin); ok && mirrored.Written == ref.Written {
			origins = append(origins, origin)
		}
	}
	return origins
}

// move replaces the pattern source, which must match the reference, by target. It keeps tag
// and digest byte for byte. It returns false if the result would be invalid or mean another
// image.
func (r Reference) move(source, target pattern) (Reference, bool) {
	path := strings.Trim(target.path+"/"+strings.TrimPrefix(r.Path[len(source.path):], "/"), "/")
	moved := Reference{Registry: target.registry, Path: path, Tag: r.Tag, Digest: r.Digest}
	moved.Written = moved.String()
	switch {
	case path == "", len(path) > reference.RepositoryNameTotalLengthMax, len(moved.Written) > maxLength:
		return Reference{}, false
	case target.registry == dockerHub && !strings.Contains(path, "/"): // it would mean library/path
		return Reference{}, false
	}
	return moved, true
}

// find returns the rule with the longest matching pattern. A linear search is fast enough for
// the few rules.
func (m Mirrors) find(registry, path string) (found rule, ok bool) {
	registry = canonical(registry)
	for _, r := range m.rules {
		if !r.pattern.matches(registry, path) || r.pattern.isWildcard() && m.isMirror(registry) {
			continue
		}
		if !ok || r.pattern.longer(found.pattern) {
			found, ok = r, true
		}
	}
	return found, ok
}

// isMirror reports whether a rule sends images to the registry. The wildcard does not match
// such a registry, because its images are already mirrored.
func (m Mirrors) isMirror(registry string) bool {
	for _, r := range m.rules {
		if r.mirror.canonical == registry {
			return true
		}
	}
	return false
}

// isID reports whether s is the ID of an image on the node, which the kubelet accepts. An ID
// is a digest without a name, and the parser treats it as an image sha256 with a long tag.
// The prefix check is cheap: all digest algorithms begin with sha, but few image names do.
func isID(s string) bool {
	if !strings.HasPrefix(s, "sha") {
		return false
	}
	_, err := digest.Parse(s)
	return err == nil
}
