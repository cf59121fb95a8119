package image

import (
	"strings"

	"github.com/distribution/reference"
)

// parseCommon parses the references that almost all pods have. It is much faster than
// parseAny, because it uses no regular expressions. ok is false for every other string, valid
// or not; otherwise the result is that of parseAny.
func parseCommon(s string) (ref Reference, ok bool) {
	name, digest, hasDigest := strings.Cut(s, "@")
	registry, path := splitName(name)
	path, tag, hasTag := strings.Cut(path, ":")
	switch {
	case isHexID(s), !isCommonRegistry(registry), !isCommonPath(path):
		return Reference{}, false
	case hasTag && !isTag(tag), hasDigest && !isCommonDigest(digest):
		return Reference{}, false
	}
	if registry == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	if len(path) > reference.RepositoryNameTotalLengthMax {
		return Reference{}, false
	}
	return Reference{Written: s, Registry: registry, Path: path, Tag: tag, Digest: digest}, true
}

// splitName splits a lower-case name into its normalized registry and the rest, to which it
// does not add library/.
func splitName(name string) (registry, rest string) {
	first, others, nested := strings.Cut(name, "/")
	switch {
	case nested && first == dockerIndex:
		return dockerHub, others
	case nested && isRegistry(first):
		return first, others
	}
	return dockerHub, name
}

// isCommonRegistry reports whether s is a lower-case DNS name or an IPv4 address, with or
// without a port. Such a host has the grammar of a path component without underscores.
func isCommonRegistry(s string) bool {
	host, port, hasPort := strings.Cut(s, ":")
	return isCommonPath(host) && !strings.Contains(host, "_") && (!hasPort || isNumber(port))
}

// isCommonPath reports whether s consists of lower-case letters and digits with separators
// between them: a slash, a dot, one or two underscores, or dashes.
func isCommonPath(s string) bool {
	last, beforeLast := byte('/'), byte('/') // refuses a separator at the beginning
	for i := range len(s) {
		c := s[i]
		switch {
		case isLowerOrDigit(c):
		case isLowerOrDigit(last) && (c == '/' || c == '.' || c == '_' || c == '-'):
		case c == '-' && last == '-':
		case c == '_' && last == '_' && isLowerOrDigit(beforeLast):
		default:
			return false
		}
		last, beforeLast = c, last
	}
	return isLowerOrDigit(last)
}

// isTag reports whether s is a tag.
func isTag(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case isLowerOrDigit(c) || 'A' <= c && c <= 'Z' || c == '_':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// isCommonDigest reports whether s is a SHA-256 or SHA-512 digest.
func isCommonDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	return algorithm == "sha256" && isHex(hex, 64) || algorithm == "sha512" && isHex(hex, 128)
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// isNumber reports whether s consists of digits.
func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
