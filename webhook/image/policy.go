package image

import (
	"fmt"
	"slices"
)

// Policy says which images may not run. The zero value allows every image
// that can be read.
type Policy struct {
	Disallowed Tags
	Exempt     Patterns // to be checked by CheckExempt
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
	if tag == "" || !slices.Contains(p.Disallowed.tags, tag) || p.exempts(s) {
		return nil
	}
	return &TagError{Tag: tag, Implied: ref.Tag == ""}
}

// exempts reports whether a pattern matches the image as it is written, as it
// will be mirrored, or as it may have been written before it was mirrored.
func (p Policy) exempts(s string) bool {
	if len(p.Exempt.patterns) == 0 {
		return false // before it gets expensive: a pod can have many images
	}
	mirrored, _ := p.Mirrors.Rewrite(s)
	return slices.ContainsFunc(append(p.Mirrors.Origins(s), s, mirrored), p.Exempt.match)
}

// CheckExempt refuses an exemption that would not hold: what the wildcard has
// sent to a mirror does not show which registry it is from.
func (p Policy) CheckExempt() error {
	for _, one := range p.Exempt.patterns {
		r, ok := p.Mirrors.find(one.registry, one.path)
		if ok && r.from.any() && !r.excludes() {
			return fmt.Errorf("image pattern %q would not hold on the mirror, where mirror rule %q does not keep the registry: add a mirror rule for %s, or exempt its images as they are named on the mirror",
				one, r, one.registry)
		}
	}
	return nil
}
