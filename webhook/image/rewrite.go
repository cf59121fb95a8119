package image

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Rewrite sends a reference to its mirror and reports whether a rule did so:
// the rule whose pattern is the longest that matches. What is no valid
// reference is returned as it is, and so is one that would not be read from
// the mirror as it was written, such as a path that grows too long, and the ID of
// an image on the node, which is no name.
func (m Mirrors) Rewrite(s string) (string, bool) {
	ref, err := Parse(s)
	if err != nil || isID(s) {
		return s, false
	}
	r, ok := m.find(ref.Registry, ref.Path)
	if !ok || r.excludes() {
		return s, false
	}
	mirrored := move(ref, r.from, r.to)
	if got, err := Parse(mirrored); err != nil || got.String() != mirrored {
		return s, false
	}
	return mirrored, true
}

// Origins returns the references that Rewrite sends to s, as a person writes
// them: more than one if mirrors share a path, none if s is on no mirror or
// came there by the wildcard, which forgets the registry.
func (m Mirrors) Origins(s string) []string {
	ref, err := Parse(s)
	if err != nil {
		return nil
	}
	var origins []string
	for _, r := range m.rules {
		if !r.to.matches(canonical(ref.Registry), ref.Path) {
			continue
		}
		origin := move(ref, r.to, r.from)
		if mirrored, ok := m.Rewrite(origin); ok && mirrored == s {
			origins = append(origins, familiar(origin))
		}
	}
	return origins
}

// move returns a reference that the first pattern matches with the second
// pattern in its place. Tag and digest stay as they are, byte for byte.
func move(ref Reference, from, to pattern) string {
	rest := ref.Path[len(from.path):]
	if from.path == "" {
		rest = "/" + rest
	}
	return to.String() + rest + ref.Suffix()
}

// find returns the rule with the longest pattern that matches. Rules are few:
// a scan is enough.
func (m Mirrors) find(registry, path string) (found rule, ok bool) {
	registry = canonical(registry)
	for _, r := range m.rules {
		if !r.from.matches(registry, path) || r.from.any() && m.isMirror(registry) {
			continue
		}
		if !ok || r.from.longer(found.from) {
			found, ok = r, true
		}
	}
	return found, ok
}

// isMirror reports whether a rule leads to the registry. The wildcard stands
// for all others: what is on a mirror has arrived.
func (m Mirrors) isMirror(registry string) bool {
	for _, r := range m.rules {
		if r.to.canonical == registry {
			return true
		}
	}
	return false
}

// isID reports whether s is the ID of an image as the kubelet takes it: a bare
// digest, which could as well be read as the image sha256 with a long tag. All
// its algorithms have names that begin alike; nearly no image has.
func isID(s string) bool {
	if !strings.HasPrefix(s, "sha") {
		return false
	}
	_, err := digest.Parse(s)
	return err == nil
}
