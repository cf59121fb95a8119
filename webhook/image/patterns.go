package image

import (
	"errors"
	"slices"
)

// Patterns is a list of patterns of images. The zero value is empty.
type Patterns struct{ patterns []pattern }

// ParsePatterns reads a comma-separated list of patterns REGISTRY[/PATH]. A
// pattern matches the images below its path, on the boundaries of components.
// Empty text has none. The wildcard is refused: it would be no exemption but
// the end of the rule.
func ParsePatterns(s string) (Patterns, error) {
	patterns, err := parseList("image pattern", s, parseExemption)
	return Patterns{patterns}, err
}

func parseExemption(item string) (pattern, error) {
	p, err := parsePattern(item, "REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox")
	if err == nil && p.any() {
		return p, errors.New("would exempt every image: name registries or paths")
	}
	return p, err
}

// String returns the patterns as ParsePatterns reads them.
func (p Patterns) String() string { return joinList(p.patterns) }

// match reports whether a pattern matches a reference.
func (p Patterns) match(s string) bool {
	ref, err := Parse(s)
	registry := canonical(ref.Registry)
	return err == nil && slices.ContainsFunc(p.patterns, func(one pattern) bool { return one.matches(registry, ref.Path) })
}
