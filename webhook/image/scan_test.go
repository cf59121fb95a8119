package image

import (
	"slices"
	"strings"
)

// The functions in this file search lists from their beginning to their end. They are slower
// implementations of the look-ups in an index, and the fuzz targets compare both.

// matchesByScan reports whether the pattern matches a path on a canonical registry.
func (p pattern) matchesByScan(registry, path string) bool {
	return p.isWildcard() || p.canonical == registry && isBelow(path, p.path)
}

// isBelow reports whether path equals parent or begins with all of its components. Every path
// is below the empty path.
func isBelow(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (parent == "" || rest == "" || rest[0] == '/')
}

// matchByScan is a slower implementation of match.
func (p Patterns) matchByScan(ref Reference) bool {
	return slices.ContainsFunc(p.patterns, func(candidate pattern) bool {
		return candidate.matchesByScan(canonical(ref.Registry), ref.Path)
	})
}

// findByScan is a slower implementation of find.
func (m Mirrors) findByScan(registry, path string) (found rule, ok bool) {
	registry = canonical(registry)
	isMirror := slices.ContainsFunc(m.rules, func(r rule) bool { return r.mirror.canonical == registry })
	for _, r := range m.rules {
		if !r.pattern.matchesByScan(registry, path) || r.pattern.isWildcard() && isMirror {
			continue
		}
		longer := found.pattern.isWildcard() && !r.pattern.isWildcard() || len(r.pattern.path) > len(found.pattern.path)
		if !ok || longer {
			found, ok = r, true
		}
	}
	return found, ok
}

// originsByScan is a slower implementation of appendOrigins, in the order of the rules. It builds and
// parses each origin.
func (m Mirrors) originsByScan(ref Reference) (origins []name) {
	for _, r := range m.rules {
		if r.pattern.isWildcard() || !r.mirror.matchesByScan(canonical(ref.Registry), ref.Path) {
			continue
		}
		origin, ok := ref.move(&r.mirror, &r.pattern)
		if !ok {
			continue
		}
		if applied, found := m.findByScan(origin.Registry, origin.Path); found && applied == r {
			origins = append(origins, name{registry: canonical(origin.Registry), path: origin.Path})
		}
	}
	return origins
}

// conflictByScan is a slower implementation of check. It returns the rules that the error
// names.
func (m Mirrors) conflictByScan() (first, second rule, found bool) {
	for i, r := range m.rules {
		for _, earlier := range m.rules[:i] {
			if earlier.pattern.equal(r.pattern) {
				return earlier, r, true
			}
		}
		if r.excludes() {
			continue
		}
		if r.pattern.equal(r.mirror) {
			return r, r, true
		}
		if next, ok := m.findByScan(r.mirror.registry, r.mirror.path); ok && !next.excludes() {
			return r, next, true
		}
		for _, next := range m.rules {
			if !next.excludes() && next.pattern.canonical == r.mirror.canonical && isBelow(next.pattern.path, r.mirror.path) {
				return r, next, true
			}
		}
	}
	return rule{}, rule{}, false
}
