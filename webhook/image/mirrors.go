package image

import (
	"errors"
	"fmt"
	"strings"
)

// What errors show of the grammar: the form that is never ambiguous, and what
// makes a registry of a host.
const (
	mirrorForm   = "REGISTRY=HOST[:PORT][/PATH]"
	registryForm = "a registry is HOST[:PORT] with a dot or a port, or localhost"
)

// Mirrors are rules that send the images of a registry to its mirror. The
// zero value has no rules and changes nothing.
type Mirrors struct {
	rules []rule
}

// rule sends the images of one registry to a mirror, host and path.
type rule struct {
	registry string // as written
	matches  string // registry in the spelling that is compared
	host     string
	path     string // with the leading slash, or empty
}

// String returns the rule in the form that is never ambiguous.
func (r rule) String() string {
	return r.registry + "=" + r.host + r.path
}

// ParseMirrors reads a comma-separated list of mirror rules; the package
// comment has the grammar. Empty text has no rules. It refuses an item that
// can be read in two ways, two rules for one registry, and a mirror on a
// registry that is itself rewritten; the error names the items.
func ParseMirrors(s string) (Mirrors, error) {
	if strings.TrimSpace(s) == "" {
		return Mirrors{}, nil
	}
	var m Mirrors
	for i, item := range strings.Split(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return Mirrors{}, fmt.Errorf("mirror rule %d of %q is empty: remove the spare comma", i+1, s)
		}
		r, err := parseRule(item)
		if err != nil {
			return Mirrors{}, fmt.Errorf("mirror rule %q %w", item, err)
		}
		m.rules = append(m.rules, r)
	}
	if err := m.check(); err != nil {
		return Mirrors{}, err
	}
	return m, nil
}

// String returns the rules in the form that is never ambiguous, so that
// ParseMirrors reads the same rules from it.
func (m Mirrors) String() string {
	items := make([]string, len(m.rules))
	for i, r := range m.rules {
		items[i] = r.String()
	}
	return strings.Join(items, ",")
}

// Rewrite sends a reference to the mirror of its registry and reports whether
// a rule did so. What is no valid reference is returned as it is, and so is
// one that would not be read from the mirror as it was written, such as a
// path that grows too long.
func (m Mirrors) Rewrite(s string) (string, bool) {
	if len(m.rules) == 0 {
		return s, false
	}
	ref, err := Parse(s)
	if err != nil {
		return s, false
	}
	r, ok := m.find(ref.Registry)
	if !ok {
		return s, false
	}
	mirrored := r.host + r.path + "/" + ref.Path + ref.Suffix()
	if got, err := Parse(mirrored); err != nil || got.String() != mirrored {
		return s, false
	}
	return mirrored, true
}

// canonical returns the one spelling of a registry by which rules are compared: DNS
// names have no case, and 443 is the port of a registry that names none. So
// QUAY.IO/app and quay.io:443/app do not get around the rule for quay.io.
func canonical(registry string) string {
	return strings.TrimSuffix(strings.ToLower(registry), ":443")
}

// find returns the rule for a registry. Rules are few: a scan is enough.
func (m Mirrors) find(registry string) (rule, bool) {
	registry = canonical(registry)
	for _, r := range m.rules {
		if r.matches == registry {
			return r, true
		}
	}
	return rule{}, false
}

// check refuses rules of which more than one could apply to a reference,
// at once or one after the other.
func (m Mirrors) check() error {
	for i, r := range m.rules {
		if first, ok := (Mirrors{m.rules[:i]}).find(r.registry); ok {
			return fmt.Errorf("mirror rules %q and %q both rewrite %s: keep one of them",
				first, r, r.registry)
		}
		if next, ok := m.find(r.host); ok {
			return fmt.Errorf("mirror rule %q leads to %s, which rule %q rewrites again: a mirror must not be on a rewritten registry",
				r, r.host, next)
		}
	}
	return nil
}

// parseRule reads one item of the list.
func parseRule(item string) (rule, error) {
	if strings.Contains(item, "://") {
		return rule{}, errors.New("has a scheme: write " + mirrorForm + " without it")
	}
	registry, mirror, ok := splitRule(item)
	if !ok {
		return rule{}, errors.New("can be read in two ways: write " + unambiguous(item))
	}
	return newRule(registry, mirror)
}

// splitRule splits an item into its registry and its mirror. It fails for a
// colon that could as well stand before a port.
func splitRule(item string) (registry, mirror string, ok bool) {
	if registry, mirror, ok = strings.Cut(item, "="); ok {
		return registry, mirror, true
	}
	if registry, mirror, ok = strings.Cut(item, ":"); !ok {
		return dockerHub, item, true
	}
	return registry, mirror, !strings.Contains(mirror, ":") && !startsWithPort(mirror)
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
		if c != ':' {
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

// newRule makes a rule of its two sides.
func newRule(registry, mirror string) (rule, error) {
	from, ok := parseRegistry(registry)
	if !ok {
		return rule{}, fmt.Errorf("rewrites %q, which is no registry: write %s; %s",
			registry, mirrorForm, registryForm)
	}
	host, path := mirror, ""
	if i := strings.IndexByte(mirror, '/'); i >= 0 {
		host, path = mirror[:i], mirror[i:]
	}
	to, ok := parseRegistry(host)
	if !ok {
		return rule{}, fmt.Errorf("leads to %q, which is on no registry: write %s; %s",
			mirror, mirrorForm, registryForm)
	}
	if _, err := Parse(to + path + "/x"); err != nil {
		return rule{}, fmt.Errorf("has an unreadable path %q: write %s; a path is lower-case components after single slashes",
			path, mirrorForm)
	}
	return rule{registry: from, matches: canonical(from), host: to, path: path}, nil
}

// parseRegistry returns the normalised name of a registry. It asks the parser
// whether it takes s for one when a path follows; two components, because
// docker.io puts library/ before a single one.
func parseRegistry(s string) (string, bool) {
	ref, err := Parse(s + "/x/x")
	return ref.Registry, err == nil && ref.Path == "x/x"
}
