package image

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Patterns is a list of image patterns. The zero value is empty.
type Patterns struct {
	patterns []pattern
	index    index
	all      bool // whether the wildcard is one of them
}

// ParsePatterns parses a comma-separated list of exemptions, as NewPatterns(ListExempt, ...). The
// list may be empty, and a pattern may be repeated.
func ParsePatterns(s string) (Patterns, error) {
	patterns, err := parseList("image pattern", s, func(item string) (pattern, error) { return parseListed(ListExempt, item) })
	return newPatterns(patterns), err
}

// NewPatterns returns a list of patterns REGISTRY[/PATH] with this name. A pattern matches the images
// at or below its path. ListRequireDigest may have the wildcard. An *ItemError names the first pattern
// that is invalid, or that another one makes superfluous.
func NewPatterns(list string, items []string) (Patterns, error) {
	var patterns []pattern
	for i, item := range items {
		parsed, err := parseListed(list, item)
		if err != nil {
			return Patterns{}, &ItemError{list, i, fmt.Errorf("image pattern %q %w", item, err)}
		}
		patterns = append(patterns, parsed)
	}
	p := newPatterns(patterns)
	for i := range patterns {
		if err := p.checkNeeded(i); err != nil {
			return Patterns{}, &ItemError{list, i, err}
		}
	}
	return p, nil
}

func newPatterns(patterns []pattern) Patterns {
	p := Patterns{patterns: patterns, index: index{}}
	for i, added := range patterns {
		p.index.add(added.canonical, added.path, i)
		p.all = p.all || added.isWildcard()
	}
	return p
}

// parseListed parses a pattern of a list. The error is the end of a sentence that begins with it.
func parseListed(list, item string) (pattern, error) {
	p, err := parsePattern(item, "REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox")
	if err != nil || !p.isWildcard() {
		return p, err
	}
	switch list {
	case ListExempt:
		return p, errors.New("would exempt every image: name registries or paths")
	case ListAllowed:
		return p, errors.New("would allow every registry: name registries or paths, or remove the field")
	}
	return p, nil
}

// checkNeeded returns an error if another pattern matches everything that pattern i matches.
func (p *Patterns) checkNeeded(i int) error {
	needless := p.patterns[i]
	if p.all && !needless.isWildcard() {
		return fmt.Errorf("image pattern %q is not needed, because %q matches all images: remove one of them", needless, wildcard)
	}
	for parent := range parents(needless.path) {
		first, ok := p.index.first(needless.canonical, parent)
		switch {
		case !ok || first == i:
		case parent == needless.path && first < i:
			return fmt.Errorf("image patterns %q and %q are the same: keep one of them", p.patterns[first], needless)
		case parent != needless.path:
			return fmt.Errorf("image pattern %q is not needed, because %q matches the same images: remove one of them", needless, p.patterns[first])
		}
	}
	return nil
}

// String returns the patterns in the form that ParsePatterns accepts.
func (p Patterns) String() string { return joinList(p.patterns) }

// IsEmpty reports whether the list has no pattern.
func (p *Patterns) IsEmpty() bool { return len(p.patterns) == 0 }

// match reports whether a pattern matches the reference.
func (p *Patterns) match(ref *Reference) bool {
	return p.all || p.covers(canonical(ref.Registry), ref.Path)
}

// covers reports whether a pattern matches everything at or below a path of a canonical registry.
func (p *Patterns) covers(registry, path string) bool {
	_, ok := p.index.longest(registry, path)
	return ok
}

// find returns a pattern that matches one of the names of an image.
func (p *Patterns) find(names []name) (pattern string, ok bool) {
	if p.all {
		return wildcard, true
	}
	for i := range names {
		if position, ok := p.index.longest(names[i].registry, names[i].path); ok {
			return p.patterns[position].String(), true
		}
	}
	return "", false
}

// wildcard is the pattern of all registries.
const wildcard = "*"

// pattern is a registry, a path on it, or the wildcard. It matches whole path components:
// quay.io/team matches quay.io/team/app and quay.io/team itself, but not quay.io/teams.
type pattern struct {
	registry  string // in Docker's normalized form, or the wildcard
	path      string // without a leading slash; empty: the whole registry
	canonical string // canonical spelling of registry, for comparisons
}

// String returns the pattern in the form that parsePattern accepts.
func (p pattern) String() string {
	if p.path == "" {
		return p.registry
	}
	return p.registry + "/" + p.path
}

func (p pattern) isWildcard() bool { return p.registry == wildcard }

// equal reports whether two patterns match the same references.
func (p pattern) equal(q pattern) bool { return p.canonical == q.canonical && p.path == q.path }

// isBelow reports whether pattern p matches only images that pattern q matches too, and not all of
// them.
func (p pattern) isBelow(q pattern) bool {
	return p.canonical == q.canonical && p.path != q.path && (q.path == "" || strings.HasPrefix(p.path, q.path+"/"))
}

// canonical returns the spelling of a registry for comparisons: in lower case, without
// leading zeros in the port, without the default port 443, and docker.io instead of
// index.docker.io. So QUAY.IO/app and quay.io:0443/app do not bypass a rule for quay.io.
func canonical(registry string) string {
	registry = strings.ToLower(registry)
	host, port := splitPort(registry)
	switch number := strings.TrimLeft(port, "0"); {
	case number == "" || number == "443":
		if host == dockerIndex {
			return dockerHub
		}
		return host
	case number == port:
		return registry // the usual case, without an allocation
	default:
		return host + ":" + number
	}
}

// splitPort splits a registry into its host and its port, which may be empty.
func splitPort(registry string) (host, port string) {
	if i := strings.LastIndexByte(registry, ':'); i >= 0 && !strings.HasSuffix(registry, "]") {
		return registry[:i], registry[i+1:]
	}
	return registry, ""
}

// registryForm and pathForm are descriptions of the grammar for errors.
const (
	registryForm = "a registry is HOST[:PORT] with a dot or a port, or localhost"
	pathForm     = "a path is lower-case components separated by single slashes, without tag and digest"
)

// parsePattern parses a registry with or without a path, or the wildcard. The error is the
// end of a sentence that begins with s, and contains form, the valid form.
func parsePattern(s, form string) (pattern, error) {
	if s == wildcard {
		return pattern{registry: wildcard, canonical: wildcard}, nil
	}
	host, path, hasPath := strings.Cut(s, "/")
	registry, ok := parseRegistry(host)
	if !ok {
		return pattern{}, missingRegistry(form)
	}
	if hasPath && !isPath(path) {
		return pattern{}, fmt.Errorf("has an invalid path: use %s; %s", form, pathForm)
	}
	return pattern{registry, path, canonical(registry)}, nil
}

func missingRegistry(form string) error {
	return fmt.Errorf("has no registry: use %s; %s", form, registryForm)
}

// parseRegistry returns the normalized name of a registry, and whether s is one. It parses s
// with a path of two components, because docker.io adds library/ to a single one.
func parseRegistry(s string) (string, bool) {
	ref, err := Parse(s + "/x/x")
	return ref.Registry, err == nil && ref.Path == "x/x" && reachable(s)
}

// reachable reports whether a registry that can be parsed can also be a network address. It
// returns false for a host with an underscore, and for a host such as 1.25 that ends with a
// number but is not an IP address: it is probably the tag of a pasted image.
func reachable(registry string) bool {
	host, port := splitPort(registry)
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	if strings.Trim(host[strings.LastIndexByte(host, '.')+1:], "0123456789") == "" {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return !strings.Contains(host, "_")
}

// isPath reports whether s can begin a path.
func isPath(s string) bool {
	ref, err := Parse("registry.invalid/" + s + "/x")
	return err == nil && ref.Path == s+"/x"
}
