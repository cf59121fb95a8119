package image

import "fmt"

// check proves that rewriting what was rewritten changes nothing, or names the
// rules that stand against it. It also refuses two rules for one pattern.
//
// A rule turns references into its target with something behind it. Such a
// reference is rewritten again if the rule that is found for the target itself
// rewrites, or if a rule for something below the target does. Without either,
// what is found for it is an exclusion or nothing.
func (m Mirrors) check() error {
	for i, r := range m.rules {
		for _, first := range m.rules[:i] {
			if first.from.equal(r.from) {
				return fmt.Errorf("mirror rules %q and %q are both for %s: keep one of them", first, r, r.from)
			}
		}
		if err := m.checkTarget(r); err != nil {
			return err
		}
	}
	return nil
}

// checkTarget refuses a rule that leads to where a rule applies again.
func (m Mirrors) checkTarget(r rule) error {
	if r.excludes() {
		return nil
	}
	if r.from.equal(r.to) {
		return fmt.Errorf("mirror rule %q leads to where it starts: write %q to leave these images alone", r, r.from.String()+"=")
	}
	if next, ok := m.find(r.to.registry, r.to.path); ok && !next.excludes() {
		return fmt.Errorf("mirror rule %q leads to %s, which rule %q rewrites again: %s",
			r, r.to, next, remedy(r, next))
	}
	for _, next := range m.rules {
		if !next.excludes() && next.from.canonical == r.to.canonical && below(next.from.path, r.to.path) {
			return fmt.Errorf("mirror rule %q leads to %s, below which rule %q rewrites again: remove one of them or choose another mirror",
				r, r.to, next)
		}
	}
	return nil
}

// remedy says what to do about a rule that another one follows. A mirror that
// is part of a rewritten registry can be excluded; one that is all that the
// other rule is for cannot.
func remedy(r, next rule) string {
	if r.to.equal(next.from) {
		return "remove one of them or choose another mirror"
	}
	return fmt.Sprintf("choose another mirror, or add the rule %q to leave its images alone", r.to.String()+"=")
}
