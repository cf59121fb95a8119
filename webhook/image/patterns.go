package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Patterns is a list of patterns of images. The zero value is empty.
type Patterns struct{ patterns []pattern }

// ParsePatterns reads a comma-separated list of patterns REGISTRY[/PATH]. A
// pattern matches the images below its path, on the boundaries of components.
// Empty text has none. The wildcard is refused: it would be no exemption but
// the end of the rule.
func ParsePatterns(s string) (Patterns, error) {
	items, err := splitList("image pattern", s)
	if err != nil {
		return Patterns{}, err
	}
	var p Patterns
	for _, item := range items {
		parsed, err := parseExemption(item)
		if err != nil {
			return Patterns{}, fmt.Errorf("image pattern %q %w", item, err)
		}
		p.patterns = append(p.patterns, parsed)
	}
	return p, nil
}

func parseExemption(item string) (pattern, error) {
	p, err := parsePattern(item, "REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox")
	if err == nil && p.any() {
		return p, errors.New("would exempt every image: name registries or paths")
	}
	return p, err
}

// String returns the patterns as ParsePatterns reads them.
func (p Patterns) String() string {
	items := make([]string, len(p.patterns))
	for i, one := range p.patterns {
		items[i] = one.String()
	}
	return strings.Join(items, ",")
}

// match reports whether a pattern matches a reference.
func (p Patterns) match(s string) bool {
	ref, err := Parse(s)
	registry := canonical(ref.Registry)
	return err == nil && slices.ContainsFunc(p.patterns, func(one pattern) bool { return one.matches(registry, ref.Path) })
}
