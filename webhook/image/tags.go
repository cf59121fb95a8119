package image

import (
	"fmt"
	"strings"
)

// Tags is a list of tags. The zero value is empty.
type Tags struct{ tags []string }

// ParseTags parses a comma-separated list of tags, which may be empty. Tags are
// case-sensitive.
func ParseTags(s string) (Tags, error) {
	tags, err := splitList("tag", s)
	if err != nil {
		return Tags{}, err
	}
	for _, tag := range tags {
		if ref, err := Parse("x:" + tag); err != nil || ref.Tag != tag {
			return Tags{}, fmt.Errorf("invalid tag %q: use the tag alone, such as latest: at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or a dash", tag)
		}
	}
	return Tags{tags}, nil
}

// String returns the tags in the form that ParseTags accepts.
func (t Tags) String() string { return strings.Join(t.tags, ",") }
