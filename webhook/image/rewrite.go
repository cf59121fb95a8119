package image

import (
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Rewrite returns the reference on its mirror, and whether a rule applies: the rule with
// the longest pattern that matches. A reference stays unchanged if its mirrored form would
// not be a reference with the same meaning, for example because its path is too long, and
// if it is the ID of an image on the node instead of a name.
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
// write: several if mirrors share a path, none if ref is not on a mirror or was sent there
// by the wildcard, which does not keep the registry.
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

// move returns the reference with the pattern to in place of the pattern from, which
// matches it. Tag and digest stay byte for byte. It reports false if the result would be
// invalid, or would be read as another reference.
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

// find returns the rule with the longest pattern that matches. There are few rules: a
// scan is fast enough.
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
// these registries: their images are already mirrored.
func (m Mirrors) isMirror(registry string) bool {
	for _, r := range m.rules {
		if r.mirror.canonical == registry {
			return true
		}
	}
	return false
}

// isID reports whether s is the ID of an image on the node, which the kubelet accepts: a
// bare digest, which could also be read as the image sha256 with a long tag. The names of
// all digest algorithms begin with sha, and few image names do: the check is cheap.
func isID(s string) bool {
	if !strings.HasPrefix(s, "sha") {
		return false
	}
	_, err := digest.Parse(s)
	return err == nil
}
