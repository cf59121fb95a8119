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
	r := m.find(ref.Registry, ref.Path)
	if r == nil || r.excludes() {
		return ref, ""
	}
	mirrored, ok := ref.move(&r.pattern, &r.mirror)
	if !ok {
		return ref, ""
	}
	return mirrored, r.text
}

// Origins returns the references that Rewrite sends to ref, in the short form that users
// write. There are several if mirrors share a path. There are none if ref is not on a mirror,
// or if only the wildcard sends images there, which does not keep the registry.
func (m Mirrors) Origins(ref Reference) (written []string) {
	for _, origin := range m.appendOrigins(nil, ref.name()) {
		full := Reference{Registry: origin.rule.pattern.registry, Path: origin.path, Tag: ref.Tag, Digest: ref.Digest}
		full.Written = full.Registry + "/" + full.Path + ref.suffix()
		if mirrored, _ := m.Rewrite(full); mirrored.Written == ref.Written { // not in another spelling
			written = append(written, full.familiar())
		}
	}
	return written
}

// name is the name of an image, without tag and digest.
type name struct {
	registry string // canonical
	path     string
	rule     *rule // that sends the name to a mirror; nil if that does not matter
}

// appendOrigins appends the names that are sent to a mirrored name, by the length of the mirror's path. Most
// need no allocation.
func (m *Mirrors) appendOrigins(origins []name, mirrored name) []name {
	paths := m.byMirror[mirrored.registry]
	if paths == nil {
		return origins // the common case for a registry without a mirror
	}
	for parent := range parents(mirrored.path) {
		for _, position := range paths[parent] {
			r := &m.rules[position]
			origin := name{r.pattern.canonical, exchange(mirrored.path, r.mirror.path, r.pattern.path), r}
			if !r.pattern.isWildcard() && origin.isPossible() && m.findCanonical(origin.registry, origin.path) == r {
				origins = append(origins, origin)
			}
		}
	}
	return origins
}

// isPossible reports whether a reference can have the name. On docker.io, a path with one component would
// mean library/path.
func (n name) isPossible() bool {
	return n.path != "" && len(n.path) <= reference.RepositoryNameTotalLengthMax && (n.registry != dockerHub || strings.Contains(n.path, "/"))
}

// exchange replaces the beginning of a path, which is before a slash or all of it. It does not allocate if
// the result is the end of the path, as in hub/library/nginx.
func exchange(path, before, after string) string {
	rest := strings.TrimPrefix(path[len(before):], "/")
	switch start := len(path) - len(rest) - 1 - len(after); {
	case after == "":
		return rest
	case rest == "":
		return after
	case start >= 0 && path[start:start+len(after)] == after && path[start+len(after)] == '/':
		return path[start:]
	}
	return after + "/" + rest
}

// move replaces the pattern source, which must match the reference, by target. It keeps tag
// and digest byte for byte. It returns false if the result would be invalid or mean another
// image.
func (r *Reference) move(source, target *pattern) (Reference, bool) {
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

// find returns nil, or the rule with the longest matching pattern. The wildcard matches only if no
// other pattern does, and never matches a mirror, because its images are already mirrored.
func (m *Mirrors) find(registry, path string) *rule {
	return m.findCanonical(canonical(registry), path)
}

// findCanonical is find for a canonical registry.
func (m *Mirrors) findCanonical(registry, path string) *rule {
	i, ok := m.byPattern.longest(registry, path)
	if !ok {
		i, ok = m.byPattern.first(wildcard, "")
		ok = ok && m.byMirror[registry] == nil
	}
	if !ok {
		return nil
	}
	return &m.rules[i]
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
