package image

import (
	"fmt"
	"strings"
)

// parseList parses each item of a comma-separated list. Errors begin with noun and the item,
// followed by the error of parse.
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

// joinList returns the items as a comma-separated list.
func joinList[T fmt.Stringer](list []T) string {
	items := make([]string, len(list))
	for i, item := range list {
		items[i] = item.String()
	}
	return strings.Join(items, ",")
}

// splitList returns the trimmed items of a comma-separated list. It returns none for blank
// text, and an error for an empty item, which noun names.
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
