package image

import (
	"iter"
	"strings"
)

// index finds patterns of a list: canonical registry -> path -> ascending positions in the
// list. The cost of a look-up grows with the components of a path, but not with the number of
// patterns. The wildcard is an ordinary registry here: callers look it up themselves.
type index map[string]map[string][]int

// add adds a position, which must be higher than all positions before.
func (x index) add(registry, path string, position int) {
	if x[registry] == nil {
		x[registry] = map[string][]int{}
	}
	x[registry][path] = append(x[registry][path], position)
}

// first returns the first position of exactly this registry and path.
func (x index) first(registry, path string) (position int, ok bool) {
	if positions := x[registry][path]; len(positions) > 0 {
		return positions[0], true
	}
	return 0, false
}

// longest returns the first position of the longest pattern at or above a path.
func (x index) longest(registry, path string) (position int, ok bool) {
	if paths := x[registry]; paths != nil {
		for parent := range parents(path) {
			if positions := paths[parent]; len(positions) > 0 {
				return positions[0], true
			}
		}
	}
	return 0, false
}

// parents yields a path and all paths above it, such as a/b, a and the empty path.
func parents(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(path) && path != "" {
			path = path[:max(strings.LastIndexByte(path, '/'), 0)]
		}
	}
}
