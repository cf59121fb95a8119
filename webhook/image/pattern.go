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
}

// ParsePatterns parses a comma-separated list of patterns REGISTRY[/PATH], which may be
// empty. A pattern matches the images at or below its path. The wildcard is an error, because
// it would exempt every image.
func ParsePatterns(s string) (Patterns, error) {
	patterns, err := parseList("image pattern", s, parseExemption)
	return newPatterns(patterns), err
}

func newPatterns(patterns []pattern) Patterns {
	p := Patterns{patterns, index{}}
	for i, added := range patterns {
		p.index.add(added.canonical, added.path, i)
	}
	return p
}

func parseExemption(item string) (pattern, error) {
	p, err := parsePattern(item, "REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox")
	if err == nil && p.isWildcard() {
		return p, errors.New("would exempt every image: name registries or paths")
	}
	return p, err
}

// String returns the patterns in the form that ParsePatterns accepts.
func (p Patterns) String() string { return joinList(p.patterns) }

// match reports whether a pattern matches the reference.
func (p Patterns) match(ref Reference) bool {
	_, ok := p.index.longest(canonical(ref.Registry), ref.Path)
	return ok
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
