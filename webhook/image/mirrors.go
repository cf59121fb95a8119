package image

import (
	"errors"
	"fmt"
	"strings"
)

// mirrorForm is the unambiguous form of a rule.
const mirrorForm = "REGISTRY[/PATH]=HOST[:PORT][/PATH]"

// Mirrors is a list of rules that send images to mirrors. The zero value has no rules and
// changes nothing.
type Mirrors struct {
	rules []rule
}

// rule sends the images of a pattern to a mirror, or excludes them from other rules.
type rule struct {
	from pattern
	to   pattern // the mirror, never the wildcard; the zero value excludes
}

func (r rule) excludes() bool { return r.to.registry == "" }

// String returns the rule in the unambiguous form.
func (r rule) String() string { return r.from.String() + "=" + r.to.String() }

// ParseMirrors reads a comma-separated list of mirror rules; the package comment has the
// grammar. Empty text has no rules. It refuses an ambiguous item, two rules for one
// pattern, and a rule that would rewrite images which another rule has rewritten; the
// error names the rules.
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

// String returns the rules in the unambiguous form, from which ParseMirrors reads the same
// rules.
func (m Mirrors) String() string { return joinList(m.rules) }

// parseRule reads one item of the list.
func parseRule(item string) (rule, error) {
	if strings.Contains(item, "://") {
		return rule{}, errors.New("has a scheme: use " + mirrorForm + " without it")
	}
	from, to, ok := splitRule(item)
	if !ok {
		return rule{}, errors.New("is ambiguous, because the colon could precede a port: use " + unambiguous(item))
	}
	return newRule(from, to)
}

// splitRule splits an item into its two sides. It fails for a colon that could also
// precede a port.
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

// unambiguous returns the possible meanings of an ambiguous item: the mirror of docker.io,
// or a rule split at one of the colons.
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

// newRule returns the rule with these two sides. An empty right side excludes.
func newRule(from, to string) (r rule, err error) {
	if r.from, err = parsePattern(from, mirrorForm); err != nil {
		return rule{}, fmt.Errorf("rewrites %q, which %w", from, err)
	}
	if to == "" {
		return r, nil
	}
	if r.to, err = parsePattern(to, mirrorForm); err == nil && r.to.any() {
		err = missingRegistry(mirrorForm)
	}
	if err != nil {
		return rule{}, fmt.Errorf("sends images to %q, which %w", to, err)
	}
	return r, nil
}
