package image

import (
	"fmt"
	"slices"
)

// Policy decides which images must not run. The zero value allows every image.
type Policy struct {
	Disallowed Tags
	Exempt     Patterns // CheckExempt validates them
	// Mirrors are the mirror rules. An exemption applies to the original and to the
	// mirrored name of an image.
	Mirrors Mirrors
}

// TagError means that an image must not run because its tag is disallowed.
type TagError struct {
	Tag     string
	Implied bool // whether the reference has no tag, which means latest
}

func (e *TagError) Error() string {
	if e.Implied {
		return fmt.Sprintf("no tag, which means the disallowed tag %q", e.Tag)
	}
	return fmt.Sprintf("disallowed tag %q", e.Tag)
}

// Check returns the reason why an image must not run, or nil. It allows every reference with
// a digest, because the digest pins the image regardless of the tag.
func (p Policy) Check(ref Reference) *TagError {
	tag := ref.floatingTag()
	if tag == "" || !slices.Contains(p.Disallowed.tags, tag) || p.exempts(ref) {
		return nil
	}
	return &TagError{Tag: tag, Implied: ref.Tag == ""}
}

// exempts reports whether a pattern matches the written reference, its mirrored reference, or
// one of its origins.
func (p Policy) exempts(ref Reference) bool {
	if len(p.Exempt.patterns) == 0 {
		return false // the common case: a pod can have many images
	}
	if p.Exempt.match(ref) {
		return true
	}
	if mirrored, rule := p.Mirrors.Rewrite(ref); rule != "" && p.Exempt.match(mirrored) {
		return true
	}
	for origin := range p.Mirrors.origins(ref) {
		if p.Exempt.match(origin) {
			return true
		}
	}
	return false
}

// CheckExempt returns an error for an exemption that cannot work: images that the wildcard
// rule has mirrored do not have their registry in their names.
func (p Policy) CheckExempt() error {
	for _, exempt := range p.Exempt.patterns {
		r, ok := p.Mirrors.find(exempt.registry, exempt.path)
		if ok && r.pattern.isWildcard() && !r.excludes() {
			return fmt.Errorf("image pattern %q cannot exempt mirrored images, because mirror rule %q does not keep the registry in their names: add a mirror rule for %s, or exempt the images by their names on the mirror",
				exempt, r, exempt.registry)
		}
	}
	return nil
}
