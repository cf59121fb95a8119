package image

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// wildcard is the pattern of all registries.
const wildcard = "*"

// pattern is a registry, or what is below a path of it, or any registry. It
// matches on path boundaries: quay.io/team matches quay.io/team/app and
// quay.io/team itself, but not quay.io/teams.
type pattern struct {
	registry  string // as Docker names it, or the wildcard
	path      string // without a leading slash; empty: the whole registry
	canonical string // registry in the one spelling that is compared
}

// String returns the pattern as parsePattern reads it.
func (p pattern) String() string {
	if p.path == "" {
		return p.registry
	}
	return p.registry + "/" + p.path
}

func (p pattern) any() bool { return p.registry == wildcard }

// matches reports whether the pattern matches a path of a registry; registry
// must be canonical.
func (p pattern) matches(registry, path string) bool {
	return p.any() || p.canonical == registry && below(path, p.path)
}

// below reports whether a path is the other one or has it as its beginning,
// whole components of it. Everything is below the empty path.
func below(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (parent == "" || rest == "" || rest[0] == '/')
}

// equal reports whether two patterns match the same.
func (p pattern) equal(q pattern) bool { return p.canonical == q.canonical && p.path == q.path }

// longer reports whether a pattern is more specific than another one that
// matches the same reference.
func (p pattern) longer(q pattern) bool {
	return q.any() && !p.any() || len(p.path) > len(q.path)
}

// canonical returns the one spelling of a registry by which patterns are
// compared: DNS names have no case, ports no leading zeros, 443 is the port of a
// registry that names none, and index.docker.io is Docker Hub. So QUAY.IO/app and
// quay.io:0443/app do not get around quay.io.
func canonical(registry string) string {
	host, port := splitPort(strings.ToLower(registry))
	if port = strings.TrimLeft(port, "0"); port != "" && port != "443" {
		return host + ":" + port
	}
	if host == dockerIndex {
		return dockerHub
	}
	return host
}

// splitPort splits a registry into its host and its port, which may be empty.
func splitPort(registry string) (host, port string) {
	if i := strings.LastIndexByte(registry, ':'); i >= 0 && !strings.HasSuffix(registry, "]") {
		return registry[:i], registry[i+1:]
	}
	return registry, ""
}

// What errors show of the grammar.
const (
	registryForm = "a registry is HOST[:PORT] with a dot or a port, or localhost"
	pathForm     = "a path is lower-case components after single slashes, without tag or digest"
)

// parsePattern reads a registry with or without a path, or the wildcard. The
// error continues a sentence about s; form is what should be written instead.
func parsePattern(s, form string) (pattern, error) {
	if s == wildcard {
		return pattern{registry: wildcard, canonical: wildcard}, nil
	}
	host, path, hasPath := strings.Cut(s, "/")
	registry, ok := parseRegistry(host)
	if !ok {
		return pattern{}, notOnARegistry(form)
	}
	if hasPath && !isPath(path) {
		return pattern{}, fmt.Errorf("has an unreadable path: write %s; %s", form, pathForm)
	}
	return pattern{registry, path, canonical(registry)}, nil
}

func notOnARegistry(form string) error {
	return fmt.Errorf("is on no registry: write %s; %s", form, registryForm)
}

// parseRegistry returns the normalised name of a registry. It asks the parser
// whether it takes s for one when a path follows; two components, because
// docker.io puts library/ before a single one.
func parseRegistry(s string) (string, bool) {
	ref, err := Parse(s + "/x/x")
	return ref.Registry, err == nil && ref.Path == "x/x" && reachable(s)
}

// reachable reports whether a registry that can be read can also be asked. A
// host with an underscore is none by the grammar; one that ends with a number is
// an IP address or more likely a tag, as in library/nginx:1.25.
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

// isPath reports whether s can be the beginning of a path.
func isPath(s string) bool {
	ref, err := Parse("registry.invalid/" + s + "/x")
	return err == nil && ref.Path == s+"/x"
}
