package image

import (
	"fmt"
	"slices"
)

// Policy says which images must not run. The zero value allows every image.
type Policy struct {
	Disallowed Tags
	Exempt     Patterns // to be validated by CheckExempt
	// Mirrors are the rules by which images have been rewritten, or will be: an exemption
	// applies to an image under each of its names.
	Mirrors Mirrors
}

// TagError is the reason why an image must not run: its tag is disallowed.
type TagError struct {
	Tag     string
	Implied bool // the reference has no tag, which means this one
}

func (e *TagError) Error() string {
	if e.Implied {
		return fmt.Sprintf("no tag, which means the disallowed tag %q", e.Tag)
	}
	return fmt.Sprintf("disallowed tag %q", e.Tag)
}

// Check returns the reason why an image must not run, or nil. A digest is always allowed:
// it pins the image whatever the tag says.
func (p Policy) Check(ref Reference) *TagError {
	tag := ref.floatingTag()
	if tag == "" || !slices.Contains(p.Disallowed.tags, tag) || p.exempts(ref) {
		return nil
	}
	return &TagError{Tag: tag, Implied: ref.Tag == ""}
}

// exempts reports whether a pattern matches the image as it is written, as it will be
// mirrored, or as it may have been written before it was mirrored.
func (p Policy) exempts(ref Reference) bool {
	if len(p.Exempt.patterns) == 0 {
		return false // the common case: a pod can have many images
	}
	mirrored, _ := p.Mirrors.Rewrite(ref)
	return slices.ContainsFunc(append(p.Mirrors.origins(ref), ref, mirrored), p.Exempt.match)
}

// CheckExempt refuses an exemption that could not work: the name of an image that the
// wildcard has sent to a mirror does not show its registry.
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
