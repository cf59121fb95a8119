package manifest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxExpanded is the number of values that aliases may add to a document. Long text counts as several.
	maxExpanded = 1_000_000
	longText    = 64 // bytes
	// maxDepth is the maximum nesting depth. Objects of Kubernetes have less than 20 levels.
	maxDepth = 200
)

// check returns an error for a document that kubectl would refuse or misread: a key that occurs twice,
// aliases that expand it beyond any use, and values that contain themselves.
func check(root *yaml.Node) error {
	c := checker{sizes: map[*yaml.Node]int{}}
	if c.size(root, 0); c.err != nil {
		return c.err
	}
	return nil
}

// checker computes the expanded sizes of nodes.
type checker struct {
	sizes    map[*yaml.Node]int // of anchors; 0: not complete yet
	expanded int                // values that aliases add
	err      *Error             // the first
}

// size returns the number of values to which a node expands.
func (c *checker) size(node *yaml.Node, depth int) int {
	switch {
	case c.err != nil:
		return 0
	case depth > maxDepth:
		c.err = errorAt(node, "nested deeper than %d levels: check the indentation", maxDepth)
		return 0
	case node.Kind == yaml.AliasNode:
		return c.aliased(node)
	}
	if node.Kind == yaml.MappingNode {
		c.checkKeys(node)
	}
	size := 1 + len(node.Value)/longText
	for _, child := range node.Content {
		size += c.size(child, depth+1)
	}
	if node.Kind == yaml.MappingNode && c.err == nil {
		c.checkMerges(node)
	}
	if node.Anchor != "" {
		c.sizes[node] = size
	}
	return size
}

// aliased returns the size of an alias. Its anchor is before it, so its size is known unless the alias is
// inside of it.
func (c *checker) aliased(alias *yaml.Node) int {
	size := c.sizes[alias.Alias]
	switch c.expanded += size; {
	case size == 0:
		c.err = errorAt(alias, "the anchor &%s contains itself: write the values out", alias.Value)
	case c.expanded > maxExpanded:
		c.err = errorAt(alias, "aliases expand the document by more than %d values: write the values out", maxExpanded)
	}
	return size
}

// maxScanned is the number of keys that are compared one by one.
const maxScanned = 16

// checkKeys refuses keys that occur twice or are not text, and merged values that are not mappings.
func (c *checker) checkKeys(mapping *yaml.Node) {
	var seen map[string]*yaml.Node
	if len(mapping.Content) > 2*maxScanned {
		seen = make(map[string]*yaml.Node, len(mapping.Content)/2)
	}
	for i := 0; i+1 < len(mapping.Content) && c.err == nil; i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		switch first := firstKey(mapping, i, seen); {
		case key.Kind != yaml.ScalarNode:
			c.err = errorAt(key, "a key that is not text: write it as text")
		case strings.HasPrefix(key.Value, string(byteOrderMark)):
			c.err = errorAt(key, "a byte order mark before key %q: remove it", strings.TrimPrefix(key.Value, string(byteOrderMark)))
		case isMerge(key) && !areMappings(value):
			c.err = errorAt(value, "the value of << is not a mapping: merge only mappings")
		case first != nil:
			c.err = errorAt(key, "key %q is also in line %d: remove one of them", key.Value, first.Line)
		case seen != nil:
			seen[key.Value] = key
		}
	}
}

// checkMerges refuses a key before a merge that has the key too: kubectl uses the value that is merged, other
// programs use the one that is written.
func (c *checker) checkMerges(mapping *yaml.Node) {
	for i := 2; i+1 < len(mapping.Content); i += 2 {
		if !isMerge(mapping.Content[i]) {
			continue
		}
		merged := map[string]bool{}
		for all := members(&yaml.Node{Kind: yaml.MappingNode, Content: mapping.Content[i : i+2]}); len(all) > 1; all = all[2:] {
			merged[all[0].Value] = true
		}
		for before := 0; before < i; before += 2 {
			if key := mapping.Content[before]; merged[key.Value] {
				c.err = errorAt(key, "key %q is also in the mapping that << merges after it: write << first", key.Value)
				return
			}
		}
	}
}

// firstKey returns the key before position that equals the one there, or nil. seen has the keys before it,
// or is nil if they are few.
func firstKey(mapping *yaml.Node, position int, seen map[string]*yaml.Node) *yaml.Node {
	key := mapping.Content[position]
	if seen != nil {
		return seen[key.Value]
	}
	for i := 0; i < position; i += 2 {
		if before := mapping.Content[i]; before.Value == key.Value {
			return before
		}
	}
	return nil
}

// isMerge reports whether the value of a key is merged into the mapping (https://yaml.org/type/merge.html).
func isMerge(key *yaml.Node) bool { return key.Tag == "!!merge" && key.Value == "<<" }

// areMappings reports whether a value can be merged.
func areMappings(value *yaml.Node) bool {
	value = resolve(value)
	return value.Kind == yaml.MappingNode || value.Kind == yaml.SequenceNode && !slices.ContainsFunc(value.Content, func(item *yaml.Node) bool {
		return resolve(item).Kind != yaml.MappingNode
	})
}

// resolve follows an alias.
func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// members returns the keys and values of a mapping in turn, with those that are merged into it. It returns
// none for other nodes.
func members(node *yaml.Node) []*yaml.Node {
	node = resolve(node)
	switch {
	case node.Kind != yaml.MappingNode:
		return nil
	case !slices.ContainsFunc(node.Content, isMerge):
		return node.Content
	}
	var own, merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		switch key, value := node.Content[i], resolve(node.Content[i+1]); {
		case !isMerge(key):
			own = append(own, key, node.Content[i+1])
		case value.Kind == yaml.SequenceNode:
			for _, item := range value.Content {
				merged = append(merged, members(item)...)
			}
		default:
			merged = append(merged, members(value)...)
		}
	}
	return appendOthers(own, merged)
}

// appendOthers appends members whose keys are not in the list yet.
func appendOthers(list, more []*yaml.Node) []*yaml.Node {
	present := map[string]bool{}
	for i := 0; i+1 < len(list); i += 2 {
		present[list[i].Value] = true
	}
	for i := 0; i+1 < len(more); i += 2 {
		if key := more[i].Value; !present[key] {
			present[key] = true
			list = append(list, more[i], more[i+1])
		}
	}
	return list
}

// lookUp returns the value of a key of a mapping, or nil.
func lookUp(mapping *yaml.Node, key string) *yaml.Node {
	all := members(mapping)
	for i := 0; i+1 < len(all); i += 2 {
		if all[i].Value == key {
			return all[i+1]
		}
	}
	return nil
}

// text returns the value of a key if it is text.
func text(mapping *yaml.Node, key string) string {
	if value := lookUp(mapping, key); value != nil && isText(resolve(value)) {
		return resolve(value).Value
	}
	return ""
}

func isText(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!str"
}

// find returns the value at a path of keys and indexes, or nil.
func find(node *yaml.Node, path []string) *yaml.Node {
	for _, step := range path {
		if node == nil {
			return nil
		}
		list := resolve(node)
		if list.Kind != yaml.SequenceNode {
			node = lookUp(list, step)
			continue
		}
		index, err := strconv.Atoi(step)
		if err != nil || index < 0 || index >= len(list.Content) {
			return nil
		}
		node = list.Content[index]
	}
	return node
}

// appendJSON appends a node as JSON.
func appendJSON(b []byte, node *yaml.Node) []byte {
	node = resolve(node)
	switch node.Kind {
	case yaml.MappingNode:
		b = append(b, '{')
		all := members(node)
		for i := 0; i+1 < len(all); i += 2 {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, all[i].Value), ':')
			b = appendJSON(b, all[i+1])
		}
		return append(b, '}')
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, child := range node.Content {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, child)
		}
		return append(b, ']')
	}
	return appendScalar(b, node)
}

// appendScalar appends a scalar. The values of numbers and booleans do not matter: no field with an image
// has one.
func appendScalar(b []byte, node *yaml.Node) []byte {
	switch node.ShortTag() {
	case "!!null":
		return append(b, "null"...)
	case "!!bool":
		return append(b, "true"...)
	case "!!int", "!!float":
		return append(b, '0')
	}
	return appendString(b, node.Value)
}

func appendString(b []byte, s string) []byte {
	encoded, _ := json.Marshal(s) // encoding a string cannot fail
	return append(b, encoded...)
}
