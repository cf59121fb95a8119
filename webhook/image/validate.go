package image

import "fmt"

// Validate returns an *ItemError for a rule that contradicts another one: an allow-list that refuses
// what a mirror rule produces, a pattern that can never match because the wildcard mirror rule does not
// keep the registry, and a required digest that an exemption removes again.
func (p *Policy) Validate() error {
	if err := p.checkAllowed(); err != nil {
		return err
	}
	if err := p.checkPatterns(ListExempt, p.Exempt.patterns); err != nil {
		return err
	}
	if err := p.checkPatterns(ListRequireDigest, p.RequireDigest.patterns); err != nil {
		return err
	}
	if err := p.checkDenied(); err != nil {
		return err
	}
	return p.checkExempt()
}

// checkPatterns returns an error for a pattern that can never match an allowed image.
func (p *Policy) checkPatterns(list string, patterns []pattern) error {
	for i, pattern := range patterns {
		err := p.checkKeepsName(pattern.registry, pattern.path)
		if err == nil && !p.canRun(pattern) {
			err = fmt.Errorf("matches no image that %s allows: remove it, or allow its registry", ListAllowed)
		}
		if err != nil {
			return &ItemError{list, i, fmt.Errorf("image pattern %q %w", pattern, err)}
		}
	}
	return nil
}

// canRun reports whether an image that the pattern matches can be stored with an allowed name. Every
// mirror is allowed, so a mirror rule is enough.
func (p *Policy) canRun(pattern pattern) bool {
	if p.Allowed.IsEmpty() || pattern.isWildcard() || p.Allowed.covers(pattern.canonical, pattern.path) {
		return true
	}
	if r := p.Mirrors.find(pattern.registry, pattern.path); r != nil && !r.excludes() {
		return true
	}
	for _, allowed := range p.Allowed.patterns {
		if allowed.isBelow(pattern) {
			return true
		}
	}
	for _, r := range p.Mirrors.rules {
		if !r.excludes() && r.pattern.isBelow(pattern) {
			return true
		}
	}
	return false
}

// checkAllowed returns an error for a mirror rule that sends images to a registry that is not allowed.
func (p *Policy) checkAllowed() error {
	if p.Allowed.IsEmpty() {
		return nil
	}
	for i, r := range p.Mirrors.rules {
		if r.excludes() || p.Allowed.covers(r.mirror.canonical, r.mirror.path) {
			continue
		}
		return &ItemError{ListMirrors, i, fmt.Errorf("mirror rule %q sends images to %s, which %s does not allow%s: add %s to %s, or choose another mirror",
			r, r.mirror, ListAllowed, p.allowedBelow(r.mirror), r.mirror, ListAllowed)}
	}
	return nil
}

// allowedBelow returns the end of a sentence about a pattern that is not allowed as a whole.
func (p *Policy) allowedBelow(mirror pattern) string {
	for _, allowed := range p.Allowed.patterns {
		if allowed.isBelow(mirror) {
			return fmt.Sprintf(", except images below %s", allowed)
		}
	}
	return ""
}

// checkKeepsName returns an error for a pattern whose images the wildcard rule mirrors, because their
// new names do not have the registry. The error is the end of a sentence that begins with the pattern.
func (p *Policy) checkKeepsName(registry, path string) error {
	r := p.Mirrors.find(registry, path)
	if r == nil || !r.pattern.isWildcard() || r.excludes() || registry == wildcard {
		return nil
	}
	return fmt.Errorf("cannot match mirrored images, because mirror rule %q does not keep the registry in their names: add a mirror rule for %s, or use the names of the images on the mirror",
		r, registry)
}

func (p *Policy) checkDenied() error {
	for i, denied := range p.Denied.names {
		if err := p.checkKeepsName(denied.registry, denied.path); err != nil {
			return &ItemError{ListDenied, i, fmt.Errorf("denied image %q %w", p.Denied.images[i].Image, err)}
		}
	}
	return nil
}

// checkExempt returns an error for a required digest that never applies.
func (p *Policy) checkExempt() error {
	for i, required := range p.RequireDigest.patterns {
		if position, ok := p.Exempt.index.longest(required.canonical, required.path); ok {
			return &ItemError{ListRequireDigest, i, fmt.Errorf("image pattern %q never requires a digest, because %s has %q: remove one of them",
				required, ListExempt, p.Exempt.patterns[position])}
		}
	}
	return nil
}
