package celpolicy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// literal returns a string in CEL.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\'' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// byRegistry returns a map in CEL from registries to lists of items, with an item in each line. A program that
// knows the registry of a name tries only the items of the registry.
func byRegistry[T any](items []T, name func(T) string, write func(T) string) string {
	lists := map[string][]string{}
	for _, item := range items {
		registry, _, _ := strings.Cut(name(item), "/")
		lists[registry] = append(lists[registry], write(item))
	}
	var entries []string
	for _, registry := range slices.Sorted(maps.Keys(lists)) {
		entries = append(entries, literal(registry)+": [\n    "+strings.Join(lists[registry], ",\n    ")+"\n  ]")
	}
	return block(entries)
}

// block returns a map in CEL, with an entry in each line.
func block(entries []string) string {
	if len(entries) == 0 {
		return "{}"
	}
	return "{\n  " + strings.Join(entries, ",\n  ") + "\n}"
}

// literals returns the items of a list of strings in CEL.
func literals(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = literal(item)
	}
	return strings.Join(quoted, ", ")
}

// record returns a map with literal strings in CEL. Pairs are keys and values.
func record(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(literal(pairs[i]) + ": " + literal(pairs[i+1]))
	}
	return "{" + b.String() + "}"
}

// prefix returns the beginning of the names that a pattern matches, or of the names on a mirror. Names end with
// a slash here, so that a prefix matches whole components. The wildcard matches every name. The prefix of no
// mirror is empty.
func prefix(pattern string) string {
	if pattern == image.Wildcard || pattern == "" {
		return ""
	}
	return pattern + "/"
}

// patternTable returns the prefixes of patterns by their registries.
func patternTable(patterns []string) string {
	return byRegistry(patterns, func(p string) string { return p }, func(p string) string { return literal(prefix(p)) })
}

// mirrorTable returns the mirror rules by the registries of their sources, the longest sources first. target is
// what replaces the source, and mirror the same in canonical spelling. Both are empty for images that keep
// their names.
func mirrorTable(rows []image.MirrorRow) string {
	return byRegistry(rows, func(r image.MirrorRow) string { return r.Source }, mirrorRecord)
}

func mirrorRecord(r image.MirrorRow) string {
	return record("source", prefix(r.Source), "target", prefix(r.Target), "mirror", prefix(r.Mirror))
}

// originTable returns the rules from whose mirrors an image can come by the registries of the mirrors, the
// longest mirrors first.
func originTable(rows []image.MirrorRow) string {
	return byRegistry(rows, func(r image.MirrorRow) string { return r.Mirror }, func(r image.MirrorRow) string {
		return record("mirror", prefix(r.Mirror), "source", prefix(r.Source), "target", prefix(r.Target), "origin", prefix(r.Origin))
	})
}

// mirrorRegistries returns the registries of all mirrors, which the wildcard does not match.
func mirrorRegistries(rows []image.MirrorRow) (registries []string) {
	for _, r := range rows {
		if registry, _, _ := strings.Cut(r.Mirror, "/"); registry != "" && !slices.Contains(registries, registry) {
			registries = append(registries, registry)
		}
	}
	return registries
}

// deniedNames returns the patterns of denied images with their reasons by their registries.
func deniedNames(rows []image.DeniedRow) string {
	return byRegistry(rows, func(r image.DeniedRow) string { return r.Name }, func(r image.DeniedRow) string {
		return record("name", prefix(r.Name), "reason", admission.Printable(r.Reason))
	})
}

// deniedImages returns the denied images with a tag or a digest: a map from the name with the tag or the
// digest to the reason.
func deniedImages(rows []image.DeniedRow) string {
	var entries []string
	for _, r := range rows {
		entries = append(entries, literal(exactKey(r))+": "+literal(admission.Printable(r.Reason)))
	}
	return block(entries)
}

// exactKey returns the key of an image in deniedImages. A digest in all registries has no name.
func exactKey(r image.DeniedRow) string {
	if r.Digest != "" {
		return prefix(r.Name) + "@" + r.Digest
	}
	return prefix(r.Name) + ":" + r.Tag
}
