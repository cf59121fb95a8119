package image

import (
	"errors"
	"fmt"
	"strings"
)

// mirrorForm is the unambiguous form of a rule.
const mirrorForm = "REGISTRY[/PATH]=HOST[:PORT][/PATH]"

// Mirrors is a list of mirror rules. The zero value has no rules and changes nothing.
type Mirrors struct {
	rules     []rule
	byPattern index
	byMirror  index // without the rules that exclude
}

// rule sends images that match a pattern to a mirror, or excludes them from other rules.
type rule struct {
	pattern pattern
	mirror  pattern // never the wildcard; the zero value excludes
	text    string  // the rule in the unambiguous form
}

func (r *rule) excludes() bool { return r.mirror.registry == "" }

// String returns the rule in the unambiguous form.
func (r rule) String() string { return r.text }

// ParseMirrors parses a comma-separated list of mirror rules, which may be empty. The package
// comment has the grammar. It returns an error for an ambiguous item, for two rules with the
// same pattern, and for a rule that rewrites the mirrored images of a rule again.
func ParseMirrors(s string) (Mirrors, error) {
	rules, err := parseList("mirror rule", s, parseRule)
	if err != nil {
		return Mirrors{}, err
	}
	return checkedMirrors(rules)
}

// Mirror is a mirror rule: a pattern or the wildcard, and a mirror or nothing.
type Mirror struct{ Source, Mirror string }

// NewMirrors returns a list of mirror rules. An *ItemError names the first rule with an error, which
// is one of those of ParseMirrors.
func NewMirrors(list []Mirror) (Mirrors, error) {
	var rules []rule
	for i, item := range list {
		r, err := newRule(item.Source, item.Mirror)
		if err != nil {
			return Mirrors{}, &ItemError{ListMirrors, i, fmt.Errorf("mirror rule %w", err)}
		}
		rules = append(rules, r)
	}
	return checkedMirrors(rules)
}

// checkedMirrors returns the rules unless they conflict.
func checkedMirrors(rules []rule) (Mirrors, error) {
	m := newMirrors(rules)
	if err := m.check(); err != nil {
		return Mirrors{}, err
	}
	return m, nil
}

// newMirrors returns the rules without checking them.
func newMirrors(rules []rule) Mirrors {
	m := Mirrors{rules, index{}, index{}}
	for i, r := range rules {
		m.byPattern.add(r.pattern.canonical, r.pattern.path, i)
		if !r.excludes() {
			m.byMirror.add(r.mirror.canonical, r.mirror.path, i)
		}
	}
	return m
}

// String returns the rules in the unambiguous form, which ParseMirrors accepts.
func (m Mirrors) String() string { return joinList(m.rules) }

// Rules returns the rules that send images to a mirror, in the form that Rewrite returns.
func (m Mirrors) Rules() (rules []string) {
	for _, r := range m.rules {
		if !r.excludes() {
			rules = append(rules, r.text)
		}
	}
	return rules
}

// Canonical returns the rules with the registries in their canonical spelling, for programs that
// express them in another language: in lower case, without leading zeros in the port, without the
// default port 443, and docker.io instead of index.docker.io.
func (m Mirrors) Canonical() (list []Mirror) {
	for _, r := range m.rules {
		list = append(list, Mirror{Source: r.pattern.canonicalName(), Mirror: r.mirror.canonicalName()})
	}
	return list
}

// parseRule parses one item of the list.
func parseRule(item string) (rule, error) {
	if strings.Contains(item, "://") {
		return rule{}, errors.New("has a scheme: use " + mirrorForm + " without it")
	}
	pattern, mirror, ok := splitRule(item)
	if !ok {
		return rule{}, errors.New("is ambiguous, because the colon could precede a port: use " + unambiguous(item))
	}
	return newRule(pattern, mirror)
}

// splitRule splits an item into pattern and mirror. ok is false if the colon could also
// precede a port.
func splitRule(item string) (pattern, mirror string, ok bool) {
	if pattern, mirror, ok = strings.Cut(item, "="); ok {
		return pattern, mirror, true
	}
	if pattern, mirror, ok = strings.Cut(item, ":"); !ok {
		return dockerHub, item, true
	}
	return pattern, mirror, !strings.Contains(mirror, ":") && !startsWithPort(mirror)
}

// startsWithPort reports whether s is a port number, with or without a path.
func startsWithPort(s string) bool {
	port, _, _ := strings.Cut(s, "/")
	return isNumber(port)
}

// unambiguous returns the possible meanings of an ambiguous item: a mirror of docker.io, or
// the item split at one of its colons.
func unambiguous(item string) string {
	var readings []string
	if _, err := newRule(dockerHub, item); err == nil {
		readings = append(readings, dockerHub+"="+item)
	}
	for i, c := range item {
		if c != ':' || i == len(item)-1 {
			continue
		}
		if _, err := newRule(item[:i], item[i+1:]); err == nil {
			readings = append(readings, item[:i]+"="+item[i+1:])
		}
	}
	if len(readings) == 0 {
		return mirrorForm
	}
	return strings.Join(readings, " or ")
}

// newRule returns a rule. An empty mirror excludes the pattern.
func newRule(pattern, mirror string) (r rule, err error) {
	if r.pattern, err = parsePattern(pattern, mirrorForm); err != nil {
		return rule{}, fmt.Errorf("rewrites %q, which %w", pattern, err)
	}
	if mirror != "" {
		if r.mirror, err = parsePattern(mirror, mirrorForm); err == nil && r.mirror.isWildcard() {
			err = missingRegistry(mirrorForm)
		}
		if err != nil {
			return rule{}, fmt.Errorf("sends images to %q, which %w", mirror, err)
		}
	}
	r.text = r.pattern.String() + "=" + r.mirror.String()
	return r, nil
}
