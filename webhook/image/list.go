package image

import (
	"fmt"
	"strings"
)

// parseList parses the items of a comma-separated list with parse, whose error continues a
// sentence that begins with the item; noun names an item in errors.
func parseList[T any](noun, s string, parse func(item string) (T, error)) ([]T, error) {
	items, err := splitList(noun, s)
	if err != nil {
		return nil, err
	}
	var list []T
	for _, item := range items {
		parsed, err := parse(item)
		if err != nil {
			return nil, fmt.Errorf("%s %q %w", noun, item, err)
		}
		list = append(list, parsed)
	}
	return list, nil
}

// joinList returns the items in the form that parseList reads.
func joinList[T fmt.Stringer](list []T) string {
	items := make([]string, len(list))
	for i, item := range list {
		items[i] = item.String()
	}
	return strings.Join(items, ",")
}

// splitList splits a comma-separated list and trims its items; noun names an empty item
// in the error. Blank text has no items.
func splitList(noun, s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	items := strings.Split(s, ",")
	for i, item := range items {
		if items[i] = strings.TrimSpace(item); items[i] == "" {
			return nil, fmt.Errorf("%s %d of %q is empty: remove the spare comma", noun, i+1, s)
		}
	}
	return items, nil
}
