package image

import (
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Rewrite returns the reference on its mirror, and the rule that applies, in the unambiguous
// form. The rule with the longest matching pattern applies. A reference stays unchanged, and the
// rule is empty, if no rule applies, if the mirrored reference would be invalid or mean another
// image, and if it is the ID of an image on the node.
func (m Mirrors) Rewrite(ref Reference) (mirrored Reference, rule string) {
	if isID(ref.Written) {
		return ref, ""
	}
	r, ok := m.find(ref.Registry, ref.Path)
	if !ok || r.excludes() {
		return ref, ""
	}
	mirrored, ok = ref.move(r.pattern, r.mirror)
	if !ok {
		return ref, ""
	}
	return mirrored, r.text
}

// Origins returns the references that Rewrite sends to ref, in the short form that users
// write. There are several if mirrors share a path. There are none if ref is not on a mirror,
// or if only the wildcard sends images there, which does not keep the registry.
func (m Mirrors) Origins(ref Reference) (written []string) {
	for _, origin := range m.appendOrigins(nil, &ref) {
		written = append(written, origin.familiar())
	}
	return written
}

// appendOrigins appends the results of Origins as references, in the order of the rules.
func (m *Mirrors) appendOrigins(origins []Reference, ref *Reference) []Reference {
	paths := m.byMirror[canonical(ref.Registry)]
	if paths == nil {
		return origins // the common case for a registry without a mirror
	}
	for _, position := range m.byMirror.all(canonical(ref.Registry), ref.Path) {
		r := &m.rules[position]
		if r.pattern.isWildcard() {
			continue
		}
		origin, ok := ref.move(r.mirror, r.pattern)
		if !ok {
			continue
		}
		if mirrored, applied := m.Rewrite(origin); applied != "" && mirrored.Written == ref.Written {
			origins = append(origins, origin)
		}
	}
	return origins
}

// move replaces the pattern source, which must match the reference, by target. It keeps tag
// and digest byte for byte. It returns false if the result would be invalid or mean another
// image.
func (r Reference) move(source, target pattern) (Reference, bool) {
	rest := strings.TrimPrefix(r.Path[len(source.path):], "/")
	slash := "/"
	if target.path == "" || rest == "" {
		slash = ""
	}
	suffix := r.suffix()
	written := target.registry + "/" + target.path + slash + rest + suffix // the only allocation
	path := written[len(target.registry)+1 : len(written)-len(suffix)]
	switch {
	case path == "", len(path) > reference.RepositoryNameTotalLengthMax, len(written) > maxLength:
		return Reference{}, false
	case target.registry == dockerHub && !strings.Contains(path, "/"): // it would mean library/path
		return Reference{}, false
	}
	return Reference{Written: written, Registry: target.registry, Path: path, Tag: r.Tag, Digest: r.Digest}, true
}

// find returns the rule with the longest matching pattern. The wildcard matches only if no
// other pattern does, and never matches a mirror, because its images are already mirrored.
func (m Mirrors) find(registry, path string) (found rule, ok bool) {
	registry = canonical(registry)
	i, ok := m.byPattern.longest(registry, path)
	if !ok {
		i, ok = m.byPattern.first(wildcard, "")
		ok = ok && m.byMirror[registry] == nil
	}
	if !ok {
		return rule{}, false
	}
	return m.rules[i], true
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
