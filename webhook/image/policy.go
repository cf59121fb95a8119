package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Policy says which images may not run. The zero value allows every image
// that can be read.
type Policy struct {
	Disallowed Tags
	Exempt     Patterns
	// Mirrors are the rules by which images have been rewritten, or will be:
	// an exemption holds for an image under each of its names.
	Mirrors Mirrors
}

// TagError is why an image may not run: its tag is disallowed.
type TagError struct {
	Tag     string
	Implied bool // the reference has no tag and so means this one
}

func (e *TagError) Error() string {
	if e.Implied {
		return fmt.Sprintf("no tag, which means the disallowed %q", e.Tag)
	}
	return fmt.Sprintf("disallowed tag %q", e.Tag)
}

// Check returns why an image may not run, or nil. The error is a *TagError or,
// for what is no reference, wraps ErrInvalid. A digest always passes: it pins
// the image whatever the tag says.
func (p Policy) Check(s string) error {
	ref, err := Parse(s)
	if err != nil {
		return err
	}
	tag := ref.FloatingTag()
	if tag == "" || !slices.Contains(p.Disallowed.tags, tag) || p.exempts(s, ref) {
		return nil
	}
	return &TagError{Tag: tag, Implied: ref.Tag == ""}
}

// exempts reports whether a pattern has the image as it is written, as it will
// be mirrored, or as it may have been written before it was mirrored.
func (p Policy) exempts(s string, ref Reference) bool {
	if len(p.Exempt.patterns) == 0 {
		return false
	}
	if p.Exempt.match(ref) {
		return true
	}
	mirrored, _ := p.Mirrors.Rewrite(s)
	return slices.ContainsFunc(append(p.Mirrors.Origins(s), mirrored), func(name string) bool {
		ref, err := Parse(name)
		return err == nil && p.Exempt.match(ref)
	})
}

// Tags is a list of tags. The zero value is empty.
type Tags struct{ tags []string }

// ParseTags reads a comma-separated list of tags. Empty text has none. Tags
// are case-sensitive.
func ParseTags(s string) (Tags, error) {
	tags, err := splitList("tag", s)
	if err != nil {
		return Tags{}, err
	}
	for _, tag := range tags {
		if ref, err := Parse("x:" + tag); err != nil || ref.Tag != tag {
			return Tags{}, fmt.Errorf("%q is no tag: write the tag alone, such as latest: up to 128 letters, digits, dots, dashes and underscores, the first no dot or dash", tag)
		}
	}
	return Tags{tags}, nil
}

// String returns the tags as ParseTags reads them.
func (t Tags) String() string { return strings.Join(t.tags, ",") }

// Patterns is a list of patterns of images. The zero value is empty.
type Patterns struct{ patterns []pattern }

// ParsePatterns reads a comma-separated list of patterns REGISTRY[/PATH]. A
// pattern has the images below its path, on the boundaries of components.
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
	const form = "REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox"
	p, err := parsePattern(item)
	switch {
	case errors.Is(err, errNoRegistry):
		return p, fmt.Errorf("begins with no registry: write %s; %s", form, registryForm)
	case err != nil:
		return p, fmt.Errorf("has an unreadable path: write %s; %s, without tag and digest", form, pathForm)
	case p.any():
		return p, errors.New("would exempt every image: name registries or paths")
	}
	return p, nil
}

// String returns the patterns as ParsePatterns reads them.
func (p Patterns) String() string {
	items := make([]string, len(p.patterns))
	for i, one := range p.patterns {
		items[i] = one.String()
	}
	return strings.Join(items, ",")
}

func (p Patterns) match(ref Reference) bool {
	registry := canonical(ref.Registry)
	return slices.ContainsFunc(p.patterns, func(one pattern) bool { return one.matches(registry, ref.Path) })
}
