package image

import (
	"fmt"
	"strings"
)

// Tags is a list of tags and of patterns of tags. The zero value is empty.
type Tags struct {
	tags     []string
	exact    map[string]bool
	patterns map[string][]tagPattern // by their first character, because most cannot match a tag

	asterisks int // the number of patterns
}

// maxTagPatterns is the maximum number of tags with an asterisk in a list. Unlike tags without one,
// each of them takes time to match.
const maxTagPatterns = 100

// ParseTags parses a comma-separated list of tags, which may be empty.
func ParseTags(s string) (Tags, error) {
	tags, err := splitList("tag", s)
	if err != nil {
		return Tags{}, err
	}
	return parseTags(tags)
}

// NewTags returns a list of tags. Tags are case-sensitive. An asterisk matches any characters, also
// none: *-snapshot matches 1.2-snapshot, but not 1.2-snapshot.1. An *ItemError names the first tag
// that is invalid, or that another one makes superfluous.
func NewTags(tags []string) (Tags, error) {
	t, err := parseTags(tags)
	if err != nil {
		return Tags{}, err
	}
	seen := map[string]bool{}
	for i, tag := range tags {
		if seen[tag] {
			return Tags{}, &ItemError{ListTags, i, fmt.Errorf("tag %q is in the list twice: keep one of them", tag)}
		}
		seen[tag] = true
		if pattern, ok := t.covers(tag); ok {
			return Tags{}, &ItemError{ListTags, i, fmt.Errorf("tag %q is not needed, because %q matches the same tags: remove one of them", tag, pattern)}
		}
	}
	return t, nil
}

func parseTags(tags []string) (Tags, error) {
	t := Tags{tags: tags, exact: map[string]bool{}, patterns: map[string][]tagPattern{}}
	for i, tag := range tags {
		if err := t.add(tag); err != nil {
			return Tags{}, &ItemError{ListTags, i, err}
		}
	}
	return t, nil
}

// covers returns another pattern that matches every tag that an item of the list matches. It matches
// the item itself, with a character that no pattern contains in place of the asterisks.
func (t *Tags) covers(item string) (pattern string, ok bool) {
	return t.findPattern(strings.ReplaceAll(item, wildcard, "\x00"), item)
}

func (t *Tags) add(tag string) error {
	if !strings.Contains(tag, wildcard) {
		t.exact[tag] = true
		return checkTag(tag, tag)
	}
	p := tagPattern{tag, strings.Split(tag, wildcard)}
	switch {
	case tag == wildcard:
		return fmt.Errorf("invalid tag %q: it matches every tag: to require digests, use the field requireDigest of a policy file", tag)
	case strings.Contains(tag, wildcard+wildcard):
		return fmt.Errorf("invalid tag %q: use one asterisk instead of two", tag)
	case t.asterisks == maxTagPatterns:
		return fmt.Errorf("too many tags with an asterisk, beginning with %q: use at most %d, or replace several by one", tag, maxTagPatterns)
	}
	t.patterns[tag[:1]] = append(t.patterns[tag[:1]], p)
	t.asterisks++
	return checkTag(tag, p.example())
}

// checkTag returns an error for a tag that is written in a list unless the example, which it must
// match, can be the tag of an image.
func checkTag(tag, example string) error {
	if ref, err := Parse("x:" + example); err != nil || ref.Tag != example {
		return fmt.Errorf("invalid tag %q: use the tag alone, such as latest: at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or a dash; * matches any characters", tag)
	}
	return nil
}

// String returns the tags in the form that ParseTags accepts.
func (t Tags) String() string { return strings.Join(t.tags, ",") }

func (t *Tags) isEmpty() bool { return len(t.tags) == 0 }

// find returns whether the list has a tag, and the pattern that matches it, if it is not the tag
// itself.
func (t *Tags) find(tag string) (pattern string, ok bool) {
	if t.exact[tag] {
		return "", true
	}
	return t.findPattern(tag, "")
}

// findPattern returns a pattern, except one, that matches a tag.
func (t *Tags) findPattern(tag, except string) (pattern string, ok bool) {
	for _, first := range [...]string{tag[:min(len(tag), 1)], wildcard} {
		for i := range t.patterns[first] {
			if p := &t.patterns[first][i]; p.text != except && p.match(tag) {
				return p.text, true
			}
		}
	}
	return "", false
}

// tagPattern matches whole tags.
type tagPattern struct {
	text  string
	parts []string // between the asterisks: at least two, of which the first and last may be empty
}

// example returns a tag that the pattern matches. The asterisks match as little as possible.
func (p *tagPattern) example() string {
	example := strings.Join(p.parts, "")
	if strings.HasPrefix(p.text, wildcard) {
		return "x" + example // a tag can begin with fewer characters than it can contain
	}
	return example
}

// match reports whether the tag is the parts in their order, with anything between them.
func (p *tagPattern) match(tag string) bool {
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(tag) < len(first)+len(last) || !strings.HasPrefix(tag, first) || !strings.HasSuffix(tag, last) {
		return false
	}
	tag = tag[len(first) : len(tag)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		_, after, ok := strings.Cut(tag, part)
		if !ok {
			return false
		}
		tag = after
	}
	return true
}
