package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is a parsed file.
type document struct {
	name string     // of the file
	root *yaml.Node // a mapping
}

// maxError is the maximum size in bytes of an error after the place. A file can contain huge values.
const maxError = 1000

// errorAt returns an error about a place in the file.
func (d document) errorAt(node *yaml.Node, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "..."
	}
	return fmt.Errorf("%s:%d:%d: %s", d.name, node.Line, node.Column, text)
}

// example is what an empty file should begin with.
const example = "begin with apiVersion: " + APIVersion + " and kind: " + Kind

// parse parses exactly one YAML document, whose root is a mapping. It does not resolve aliases, so that
// a small file cannot become large.
func parse(name string, content []byte) (document, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var parsed, next yaml.Node
	err := decoder.Decode(&parsed)
	switch {
	case errors.Is(err, io.EOF), err == nil && isEmpty(&parsed):
		return document{}, fmt.Errorf("%s: the file is empty: %s", name, example)
	case err != nil:
		return document{}, syntaxError(name, content, err)
	}
	d := document{name, parsed.Content[0]}
	if err := decoder.Decode(&next); err == nil {
		return d, d.errorAt(&next, "a second document: write one policy per file")
	} else if !errors.Is(err, io.EOF) {
		return d, syntaxError(name, content, err)
	}
	if err := d.refuseReferences(d.root); err != nil {
		return d, err
	}
	if d.root.Kind != yaml.MappingNode {
		return d, d.errorAt(d.root, "not an %s: %s", Kind, example)
	}
	return d, nil
}

// isEmpty reports whether a document has no content but comments.
func isEmpty(parsed *yaml.Node) bool {
	return len(parsed.Content) == 0 || parsed.Content[0].ShortTag() == "!!null" && parsed.Content[0].Value == ""
}

// yamlLine matches the line in an error of the parser.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

// syntaxError returns an error of the parser in the form of the other errors. The parser knows only the
// line.
func syntaxError(name string, content []byte, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	position := name
	if line := yamlLine.FindStringSubmatch(text); line != nil {
		position, text = name+":"+line[1], text[len(line[0]):]
	}
	if strings.Contains(text, "cannot start any token") && bytes.Contains(content, []byte("\t")) {
		return fmt.Errorf("%s: invalid YAML: %s: indent with spaces instead of tabs", position, text)
	}
	return fmt.Errorf("%s: invalid YAML: %s: check the quotes and the indentation near this line", position, text)
}

// refuseReferences returns an error for an anchor, an alias or a tag.
func (d document) refuseReferences(node *yaml.Node) error {
	switch {
	case node.Kind == yaml.AliasNode:
		return d.errorAt(node, "an alias: write the value itself")
	case node.Anchor != "":
		return d.errorAt(node, "the anchor &%s: anchors and aliases are not supported, write the values out", node.Anchor)
	case node.Style&yaml.TaggedStyle != 0:
		return d.errorAt(node, "the tag %s: remove it", node.Tag)
	}
	for _, child := range node.Content {
		if err := d.refuseReferences(child); err != nil {
			return err
		}
	}
	return nil
}

// decode stores a node in a struct, a slice or a string. path names it in errors.
func (d document) decode(node *yaml.Node, path string, into reflect.Value) error {
	switch into.Kind() {
	case reflect.Struct:
		return d.decodeStruct(node, path, into)
	case reflect.Slice:
		return d.decodeList(node, path, into)
	}
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" {
		return d.errorAt(node, "%s is %s, not text: %s", path, describe(node), remedy(node))
	}
	into.SetString(node.Value)
	return nil
}

// remedy returns how to make a value text.
func remedy(node *yaml.Node) string {
	if node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" {
		return `write one value, or "" for an empty one`
	}
	return fmt.Sprintf("put it in quotes, %q", node.Value)
}

func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!null":
		return "empty"
	case node.ShortTag() == "!!bool":
		return "a boolean"
	case node.ShortTag() == "!!str":
		return "text"
	case node.ShortTag() == "!!timestamp":
		return "a date"
	}
	return "a number"
}

func (d document) decodeList(node *yaml.Node, path string, into reflect.Value) error {
	if node.Kind != yaml.SequenceNode {
		return d.errorAt(node, "%s is %s, not a list: write [] for no items", path, describe(node))
	}
	list := reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		if err := d.decode(item, fmt.Sprintf("%s[%d]", path, i), list.Index(i)); err != nil {
			return err
		}
	}
	into.Set(list)
	return nil
}

func (d document) decodeStruct(node *yaml.Node, path string, into reflect.Value) error {
	if node.Kind != yaml.MappingNode {
		return d.errorAt(node, "%s is %s, not a mapping: use the fields %s", path, describe(node), strings.Join(fieldsOf(into.Type()), ", "))
	}
	fields := fieldsOf(into.Type())
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field := slices.Index(fields, key.Value)
		switch duplicate := first[key.Value]; {
		case field < 0:
			return d.errorAt(key, "unknown field %q: use %s", key.Value, strings.Join(fields, ", "))
		case duplicate != nil:
			return d.errorAt(key, "field %q is also in line %d: remove one of them", key.Value, duplicate.Line)
		}
		first[key.Value] = key
		if err := d.decode(value, join(path, key.Value), into.Field(field)); err != nil {
			return err
		}
	}
	return d.checkRequired(node, path, into.Type(), first)
}

// checkRequired returns an error if a field without omitempty is missing.
func (d document) checkRequired(node *yaml.Node, path string, of reflect.Type, present map[string]*yaml.Node) error {
	for i, name := range fieldsOf(of) {
		if present[name] == nil && !strings.Contains(of.Field(i).Tag.Get("json"), ",omitempty") {
			return d.errorAt(node, "the field %s is missing: add it", join(path, name))
		}
	}
	return nil
}

func join(path, field string) string { return strings.TrimPrefix(path+"."+field, ".") }

// fieldsOf returns the names of the fields of a struct type in a file.
func fieldsOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// value returns the node of a field of the root, or nil.
func (d document) value(field string) *yaml.Node {
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		if d.root.Content[i].Value == field {
			return d.root.Content[i+1]
		}
	}
	return nil
}

// item returns the node of an item of a list of the root, or nil.
func (d document) item(list string, index int) *yaml.Node {
	if node := d.value(list); node != nil && index < len(node.Content) {
		return node.Content[index]
	}
	return nil
}
