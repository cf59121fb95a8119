package image

import (
	"cmp"
	"slices"
	"strings"
)

// Tables are the rules of a policy as plain lists, for programs that apply them in another language.
// Names of images and of patterns are REGISTRY[/PATH] with the canonical spelling of the registry: in
// lower case, without the default port, and docker.io instead of index.docker.io.
//
// The item of a list that applies is the first one that matches. An item matches names at or below its
// own.
type Tables struct {
	Mirrors       []MirrorRow // the longest sources first, so the wildcard is the last one
	Origins       []MirrorRow // the rules from whose mirrors an image can come, the longest mirrors first
	Tags          []string    // as in the policy; the first pattern that matches a tag is the one in messages
	Exempt        []string
	RequireDigest []string // the wildcard alone: all images
	Allowed       []string // empty: all images
	Denied        []DeniedRow
	DeniedExact   []DeniedRow // images with a tag or a digest, which come before Denied
}

// MirrorRow is a mirror rule.
type MirrorRow struct {
	Source string // canonical, or the wildcard
	Origin string // the source as it is written in the policy, in Docker's normalized form
	Mirror string // canonical; empty: the images keep their names
	Target string // the mirror as it is written in the policy
}

// DeniedRow is a denied image.
type DeniedRow struct {
	Name   string // canonical, or the wildcard for a digest in all registries
	Tag    string // only of images with a tag and without a digest
	Digest string // only of images with a digest
	Reason string
}

// Wildcard is the pattern of all registries.
const Wildcard = wildcard

// Tables returns the rules of the policy, without those that other replicas may still apply.
func (p *Policy) Tables() Tables {
	t := Tables{
		Tags: p.Disallowed.inOrder(), Exempt: p.Exempt.canonicalNames(), Allowed: p.Allowed.canonicalNames(),
		RequireDigest: p.RequireDigest.canonicalNames(), DeniedExact: p.Denied.exactRows(), Denied: p.Denied.patternRows(),
	}
	for i := range p.Mirrors.rules {
		r := &p.Mirrors.rules[i]
		row := MirrorRow{r.pattern.canonicalName(), r.pattern.String(), r.mirror.canonicalName(), r.mirror.String()}
		t.Mirrors = append(t.Mirrors, row)
		if !r.excludes() && !r.pattern.isWildcard() { // the wildcard does not keep the registry of an image
			t.Origins = append(t.Origins, row)
		}
	}
	longestFirst(t.Mirrors, func(r MirrorRow) string { return strings.TrimPrefix(r.Source, wildcard) })
	longestFirst(t.Origins, func(r MirrorRow) string { return r.Mirror })
	return t
}

// longestFirst sorts rows by the length of their names, and keeps the order of equal ones.
func longestFirst[T any](rows []T, name func(T) string) {
	slices.SortStableFunc(rows, func(a, b T) int { return cmp.Compare(len(name(b)), len(name(a))) })
}

// canonicalName returns the pattern in its canonical spelling.
func (p pattern) canonicalName() string {
	p.registry = p.canonical
	return p.String()
}

func (p *Patterns) canonicalNames() (names []string) {
	for _, pattern := range p.patterns {
		names = append(names, pattern.canonicalName())
	}
	return names
}

// inOrder returns the tags in the order in which find tries them.
func (t *Tags) inOrder() []string {
	tags := slices.Clone(t.tags)
	rank := func(tag string) int {
		switch {
		case !strings.Contains(tag, wildcard):
			return 0
		case !strings.HasPrefix(tag, wildcard):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(tags, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return tags
}

func (d *Denied) exactRows() (rows []DeniedRow) {
	for key, position := range d.exact {
		name := pattern{registry: key.registry, path: key.path}.String()
		rows = append(rows, DeniedRow{name, key.tag, key.digest, d.images[position].Reason})
	}
	slices.SortFunc(rows, func(a, b DeniedRow) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Digest, b.Digest))
	})
	return rows
}

func (d *Denied) patternRows() (rows []DeniedRow) {
	for registry, paths := range d.patterns {
		for path, positions := range paths {
			name := pattern{registry: registry, path: path}.String()
			rows = append(rows, DeniedRow{Name: name, Reason: d.images[positions[0]].Reason})
		}
	}
	slices.SortFunc(rows, func(a, b DeniedRow) int { return cmp.Compare(a.Name, b.Name) })
	longestFirst(rows, func(r DeniedRow) string { return r.Name })
	return rows
}
