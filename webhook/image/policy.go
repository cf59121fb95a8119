package image

import "slices"

// Policy decides which images must not run. The zero value allows every image. Validate returns
// the rules that contradict each other.
type Policy struct {
	Disallowed    Tags
	Exempt        Patterns // images that Disallowed and RequireDigest do not apply to
	RequireDigest Patterns
	Denied        Denied
	// Allowed are the registries that images may have when they are stored in a pod. No pattern:
	// all registries.
	Allowed Patterns
	// Mirrors are the mirror rules. The original and the mirrored name of an image are names of the
	// same image: a pattern that matches one of them matches the image.
	Mirrors Mirrors
	// Former are rules that other replicas may still apply. What they allow is allowed too.
	Former []Former
}

// Former are the mirror rules of an earlier policy, and the registries that it allowed.
type Former struct {
	Mirrors Mirrors
	Allowed Patterns
}

// IsEmpty reports whether the policy allows every image.
func (p *Policy) IsEmpty() bool {
	return p.Disallowed.isEmpty() && p.RequireDigest.IsEmpty() && p.Denied.IsEmpty() && p.Allowed.IsEmpty()
}

// Check returns why an image must not run, at most once for each rule. The reference is the one
// that is stored in a pod: after mirroring.
func (p *Policy) Check(ref Reference) []Violation { return p.check(ref, ref) }

// CheckUnmirrored is Check for a reference that is mirrored later: the template of a workload.
func (p *Policy) CheckUnmirrored(ref Reference) []Violation {
	stored, _ := p.Mirrors.Rewrite(ref)
	return p.check(ref, stored)
}

func (p *Policy) check(ref, stored Reference) (found []Violation) {
	tag, disallowed := p.checkTag(&ref)
	var buffer [4]name // enough for most images, so that the list is not allocated
	var names []name
	if disallowed && !p.Exempt.IsEmpty() || !p.Denied.IsEmpty() || !p.RequireDigest.IsEmpty() {
		names = p.appendNames(buffer[:0], &ref)
	}
	if denied := p.Denied.find(names, ref.floatingTag(), ref.Digest); denied != nil {
		found = append(found, Violation{Rule: RuleDenied, Pattern: denied.Image, Reason: denied.Reason})
	}
	if !p.allows(&stored) {
		found = append(found, p.foreign(stored))
	}
	if ref.Digest == "" {
		if pattern, ok := p.RequireDigest.find(names); ok {
			// The digest solves a disallowed tag too.
			tag, disallowed = Violation{Rule: RuleDigest, Pattern: pattern}, true
		}
	}
	if _, exempt := p.Exempt.find(names); disallowed && !exempt {
		found = append(found, tag)
	}
	return found
}

// checkTag returns the violation of a disallowed tag, unless the written reference is exempt. Other names
// of the image can be exempt too.
func (p *Policy) checkTag(ref *Reference) (v Violation, found bool) {
	tag := ref.floatingTag()
	if tag == "" {
		return v, false
	}
	if v.Pattern, found = p.Disallowed.find(tag); !found || p.Exempt.match(ref) {
		return v, false
	}
	v.Rule, v.Tag = RuleTag, tag
	if ref.Tag == "" {
		v.Rule = RuleNoTag
	}
	return v, true
}

// appendNames appends all names of an image: the written one, its name on the mirror, and its origins.
// The spelling of the registry does not matter: otherwise another spelling would bypass a rule.
func (p *Policy) appendNames(names []name, ref *Reference) []name {
	written := ref.name()
	names = append(names, written)
	if r := p.Mirrors.findCanonical(written.registry, written.path); r != nil && !r.excludes() {
		names = append(names, name{registry: r.mirror.canonical, path: exchange(written.path, r.pattern.path, r.mirror.path)})
	}
	names = p.Mirrors.appendOrigins(names, written)
	for i := range p.Former {
		names = p.Former[i].Mirrors.appendOrigins(names, written)
	}
	return names
}

// Exemption returns the pattern of Exempt that an image matches by one of its names, or an empty string.
func (p *Policy) Exemption(ref Reference) string {
	pattern, _ := p.Exempt.find(p.appendNames(nil, &ref))
	return pattern
}

// allows reports whether the policy or a former one allows the registry of a stored reference.
func (p *Policy) allows(stored *Reference) bool {
	if p.Allowed.IsEmpty() || p.Allowed.match(stored) {
		return true
	}
	return slices.ContainsFunc(p.Former, func(f Former) bool { return f.Allowed.IsEmpty() || f.Allowed.match(stored) })
}

// foreign returns the violation for a reference of another registry, with its name on the mirror if
// that would be allowed: then the image was not mirrored.
func (p *Policy) foreign(stored Reference) Violation {
	v := Violation{Rule: RuleRegistry}
	if mirrored, rule := p.Mirrors.Rewrite(stored); rule != "" && p.allows(&mirrored) {
		v.Mirrored = mirrored.Written
	}
	return v
}

// AllowedNames returns patterns of images that a user can write: the sources of mirrors, whose images are
// allowed, and the patterns of Allowed. It returns each at most once, at most limit patterns, and the
// number of others.
func (p *Policy) AllowedNames(limit int) (patterns []string, others int) {
	add := func(pattern *pattern) {
		if len(patterns) == limit {
			others++
			return
		}
		patterns = append(patterns, pattern.String())
	}
	for i := range p.Mirrors.rules {
		if r := &p.Mirrors.rules[i]; !r.excludes() && !r.pattern.isWildcard() {
			add(&r.pattern)
		}
	}
	for i := range p.Allowed.patterns {
		allowed := &p.Allowed.patterns[i]
		source, ok := p.Mirrors.byPattern.first(allowed.canonical, allowed.path)
		if !ok || p.Mirrors.rules[source].excludes() {
			add(allowed)
		}
	}
	return patterns, others
}

// Origins returns the references that the mirror rules, or former ones, send to a stored reference.
// See Mirrors.Origins.
func (p *Policy) Origins(stored Reference) []string {
	written := p.Mirrors.Origins(stored)
	for _, former := range p.Former {
		for _, origin := range former.Mirrors.Origins(stored) {
			if !slices.Contains(written, origin) {
				written = append(written, origin)
			}
		}
	}
	return written
}
