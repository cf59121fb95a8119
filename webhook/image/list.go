package image

import (
	"fmt"
	"strings"
)

// parseList reads the items of a comma-separated list, each with parse, whose
// error continues a sentence about the item.
func parseList[T any](what, s string, parse func(item string) (T, error)) ([]T, error) {
	items, err := splitList(what, s)
	if err != nil {
		return nil, err
	}
	var list []T
	for _, item := range items {
		parsed, err := parse(item)
		if err != nil {
			return nil, fmt.Errorf("%s %q %w", what, item, err)
		}
		list = append(list, parsed)
	}
	return list, nil
}

// joinList returns the items as parseList reads them.
func joinList[T fmt.Stringer](list []T) string {
	items := make([]string, len(list))
	for i, item := range list {
		items[i] = item.String()
	}
	return strings.Join(items, ",")
}

// splitList splits a comma-separated list and trims its items; what names one
// of them in the error for an empty one. Blank text has no items.
func splitList(what, s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	items := strings.Split(s, ",")
	for i, item := range items {
		if items[i] = strings.TrimSpace(item); items[i] == "" {
			return nil, fmt.Errorf("%s %d of %q is empty: remove the spare comma", what, i+1, s)
		}
	}
	return items, nil
}
