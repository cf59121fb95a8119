package image

import (
	"fmt"
	"strings"
)

// Tags is a list of tags. The zero value is empty.
type Tags struct{ tags []string }

// ParseTags reads a comma-separated list of tags. Empty text has none. Tags
// are case-sensitive.
func ParseTags(s string) (Tags, error) {
	tags, err := splitList("tag", s)
	if err != nil {
		return Tags{}, err
	}
	for _, tag := range tags {
		if ref, err := Parse("x:" + tag); err != nil || ref.Tag != tag {
			return Tags{}, fmt.Errorf("%q is no tag: write the tag alone, such as latest: up to 128 letters, digits, dots, dashes and underscores, the first no dot or dash", tag)
		}
	}
	return Tags{tags}, nil
}

// String returns the tags as ParseTags reads them.
func (t Tags) String() string { return strings.Join(t.tags, ",") }
