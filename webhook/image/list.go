package image

import (
	"fmt"
	"strings"
)

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
