package image

import (
	"errors"
	"fmt"
	"strings"
)

// mirrorForm is the form of a rule that is never ambiguous.
const mirrorForm = "REGISTRY[/PATH]=HOST[:PORT][/PATH]"

// Mirrors are rules that send the images of registries to their mirrors. The
// zero value has no rules and changes nothing.
type Mirrors struct {
	rules []rule
}

// rule sends the images of a pattern to a mirror, or keeps other rules away
// from them.
type rule struct {
	from pattern
	to   pattern // never the wildcard; the zero value excludes
}

func (r rule) excludes() bool { return r.to.registry == "" }

// String returns the rule in the form that is never ambiguous.
func (r rule) String() string { return r.from.String() + "=" + r.to.String() }

// ParseMirrors reads a comma-separated list of mirror rules; the package
// comment has the grammar. Empty text has no rules. It refuses an item that is
// ambiguous, two rules for one pattern, and rules of which one would rewrite what
// another has rewritten; the error names the rules.
func ParseMirrors(s string) (Mirrors, error) {
	rules, err := parseList("mirror rule", s, parseRule)
	if err != nil {
		return Mirrors{}, err
	}
	m := Mirrors{rules}
	if err := m.check(); err != nil {
		return Mirrors{}, err
	}
	return m, nil
}

// String returns the rules in the form that is never ambiguous, so that
// ParseMirrors reads the same rules from it.
func (m Mirrors) String() string { return joinList(m.rules) }

// parseRule reads one item of the list.
func parseRule(item string) (rule, error) {
	if strings.Contains(item, "://") {
		return rule{}, errors.New("has a scheme: write " + mirrorForm + " without it")
	}
	from, to, ok := splitRule(item)
	if !ok {
		return rule{}, errors.New("is ambiguous, the colon may stand before a port: write " + unambiguous(item))
	}
	return newRule(from, to)
}

// splitRule splits an item into its two sides. It fails for a colon that could
// as well stand before a port.
func splitRule(item string) (from, to string, ok bool) {
	if from, to, ok = strings.Cut(item, "="); ok {
		return from, to, true
	}
	if from, to, ok = strings.Cut(item, ":"); !ok {
		return dockerHub, item, true
	}
	return from, to, !strings.Contains(to, ":") && !startsWithPort(to)
}

// startsWithPort reports whether s is a port number, with or without a path.
func startsWithPort(s string) bool {
	port, _, _ := strings.Cut(s, "/")
	return port != "" && strings.Trim(port, "0123456789") == ""
}

// unambiguous returns what an ambiguous item may have been meant to say: as
// the mirror of docker.io, or split at one of its colons.
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

// newRule makes a rule of its two sides. An empty right side excludes.
func newRule(from, to string) (r rule, err error) {
	if r.from, err = parsePattern(from, mirrorForm); err != nil {
		return rule{}, fmt.Errorf("rewrites %q, which %w", from, err)
	}
	if to == "" {
		return r, nil
	}
	if r.to, err = parsePattern(to, mirrorForm); err == nil && r.to.any() {
		err = notOnARegistry(mirrorForm)
	}
	if err != nil {
		return rule{}, fmt.Errorf("leads to %q, which %w", to, err)
	}
	return r, nil
}
