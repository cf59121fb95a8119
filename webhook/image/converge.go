package image

import "fmt"

// check returns an error that names the conflicting rules if a rewritten reference could be
// rewritten again, or if two rules have the same pattern.
//
// A rule produces references at or below its mirror. They are rewritten again only if another
// rule rewrites the mirror itself or a path below it.
func (m *Mirrors) check() error {
	below := m.rewritersBelow()
	for i := range m.rules {
		r := &m.rules[i]
		if first, _ := m.byPattern.first(r.pattern.canonical, r.pattern.path); first < i {
			return &ItemError{ListMirrors, i, fmt.Errorf("mirror rules %q and %q are both for %s: keep one of them", &m.rules[first], r, r.pattern)}
		}
		if err := m.checkTarget(r, below); err != nil {
			return &ItemError{ListMirrors, i, err}
		}
	}
	return nil
}

// rewritersBelow returns the rules that rewrite images at or below each path.
func (m *Mirrors) rewritersBelow() index {
	below := index{}
	for i, r := range m.rules {
		if r.excludes() {
			continue
		}
		for parent := range parents(r.pattern.path) {
			below.add(r.pattern.canonical, parent, i)
		}
	}
	return below
}

// checkTarget returns an error if a rule rewrites the mirrored images of rule r again. below
// is the result of rewritersBelow.
func (m *Mirrors) checkTarget(r *rule, below index) error {
	if r.excludes() {
		return nil
	}
	if r.pattern.equal(r.mirror) {
		return fmt.Errorf("mirror rule %q sends images to where they are: use %q, with an empty mirror, to leave them unchanged", r, r.pattern.String()+"=")
	}
	if next := m.find(r.mirror.registry, r.mirror.path); next != nil && !next.excludes() {
		return fmt.Errorf("mirror rule %q sends images to %s, which rule %q rewrites again: %s",
			r, r.mirror, next, remedy(r, next))
	}
	if next, ok := below.first(r.mirror.canonical, r.mirror.path); ok {
		return fmt.Errorf("mirror rule %q sends images to %s, and rule %q rewrites images below it again: remove one of the rules or choose another mirror",
			r, r.mirror, &m.rules[next])
	}
	return nil
}

// remedy returns what to do about rule r, whose mirrored images rule next rewrites again. An
// exclusion of r's mirror needs its own pattern, so it must differ from the pattern of next.
func remedy(r, next *rule) string {
	if r.mirror.equal(next.pattern) {
		return "remove one of the rules or choose another mirror"
	}
	return fmt.Sprintf("choose another mirror, or add the rule %q, with an empty mirror, to leave its images unchanged", r.mirror.String()+"=")
}
