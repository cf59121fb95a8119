package manifest

import (
	"errors"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// Object is an object of Kubernetes.
type Object struct {
	podimages.Kind
	Name      string // or the prefix of a generated name
	Namespace string // as written; empty: none

	node *yaml.Node
}

// objects returns the object of a document, or those of a List. As kubectl does, it takes every object with
// items for a List.
func objects(root *yaml.Node) (found []*Object) {
	apiVersion, kind := text(root, "apiVersion"), text(root, "kind")
	if kind == "" {
		return nil
	}
	items := lookUp(root, "items")
	isList := items != nil && resolve(items).Kind == yaml.SequenceNode
	switch {
	case !isList && apiVersion == "":
		return nil
	case !isList:
		return []*Object{newObject(root, apiVersion, kind)}
	}
	for _, item := range resolve(items).Content {
		found = append(found, objects(withKind(item, apiVersion, strings.TrimSuffix(kind, "List")))...)
	}
	return found
}

// withKind returns an item of a list of one kind, whose items do not repeat the kind.
func withKind(item *yaml.Node, apiVersion, kind string) *yaml.Node {
	item = resolve(item)
	if kind == "" || item.Kind != yaml.MappingNode || text(item, "kind") != "" {
		return item
	}
	key := func(text string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: item.Line, Column: item.Column}
	}
	added := *item
	added.Content = append([]*yaml.Node{key("apiVersion"), key(apiVersion), key("kind"), key(kind)}, item.Content...)
	return &added
}

func newObject(node *yaml.Node, apiVersion, kind string) *Object {
	o := &Object{Kind: podimages.Kind{Version: apiVersion, Kind: kind}, node: resolve(node)}
	if group, version, found := strings.Cut(apiVersion, "/"); found {
		o.Group, o.Version = group, version
	}
	if metadata := lookUp(node, "metadata"); metadata != nil {
		o.Namespace = text(metadata, "namespace")
		if o.Name = text(metadata, "name"); o.Name == "" {
			o.Name = text(metadata, "generateName")
		}
	}
	return o
}

// Place returns the line and the column of the object.
func (o *Object) Place() (line, column int) { return o.node.Line, o.node.Column }

// Decode returns the fields that the rules read. An error is an *Error about a field that has the wrong
// type.
func (o *Object) Decode() (*podimages.Object, error) {
	var fields []byte
	for _, key := range []string{"metadata", "spec", "template"} {
		if value := lookUp(o.node, key); value != nil {
			fields = append(appendString(append(fields, ','), key), ':')
			fields = appendJSON(fields, value)
		}
	}
	return o.decode(append(append([]byte("{"), strings.TrimPrefix(string(fields), ",")...), '}'))
}

// DecodePodSpec is Decode for a pod spec anywhere in the object: it becomes the spec of a pod.
func (o *Object) DecodePodSpec(spec Value) (*podimages.Object, error) {
	return o.decode(append(appendJSON([]byte(`{"spec":`), spec.node), '}'))
}

func (o *Object) decode(text []byte) (*podimages.Object, error) {
	decoded := new(podimages.Object)
	var d jsonfields.Decoder
	err := d.Decode(text, jsonfields.Unlimited{}, decoded.Decode)
	if err == nil {
		return decoded, nil
	}
	place := o.node
	if field := new(jsonfields.FieldError); errors.As(err, &field) {
		if wrong := findWrong(o.node, strings.Split(field.Path, ".")); wrong != nil {
			place = wrong
		}
	}
	return nil, errorAt(place, "%w: the API server refuses the object", err)
}

// findWrong returns the first value at a path, which has no indexes, that is neither text nor a parent of
// others.
func findWrong(node *yaml.Node, path []string) *yaml.Node {
	resolved := resolve(node)
	if resolved.Kind == yaml.SequenceNode && len(path) > 0 {
		for _, item := range resolved.Content {
			if wrong := findWrong(item, path); wrong != nil {
				return wrong
			}
		}
		return nil
	}
	if len(path) > 0 {
		if value := lookUp(resolved, path[0]); value != nil {
			return findWrong(value, path[1:])
		}
		return nil
	}
	if isText(resolved) || resolved.ShortTag() == "!!null" {
		return nil
	}
	return node
}

// Value is a value in an object.
type Value struct {
	Line, Column int
	Text         string // if IsText

	node *yaml.Node // an alias stays one
}

// IsText reports whether the value is text.
func (v Value) IsText() bool { return isText(resolve(v.node)) }

// IsPodSpec reports whether the value is a mapping with containers.
func (v Value) IsPodSpec() bool { return lookUp(v.node, "containers") != nil }

func newValue(node *yaml.Node) Value {
	return Value{node.Line, node.Column, resolve(node).Value, node}
}

// Root returns the object as a value.
func (o *Object) Root() Value { return newValue(o.node) }

// Find returns the value at a JSON pointer (RFC 6901) whose keys need no escapes. found is false if there
// is none.
func (o *Object) Find(pointer string) (value Value, found bool) {
	return newValue(o.node).Find(pointer)
}

// Find returns the value at a JSON pointer from this one.
func (v Value) Find(pointer string) (value Value, found bool) {
	node := find(v.node, strings.Split(strings.TrimPrefix(pointer, "/"), "/"))
	if node == nil {
		return Value{}, false
	}
	return newValue(node), true
}

// FindAll calls found for each value at a path of keys. Lists in the path and at its end are entered. field
// is the path of the value in the notation of Kubernetes, such as spec.containers[0].image.
func (o *Object) FindAll(path []string, found func(field string, value Value)) {
	findAll(o.node, path, "", found)
}

func findAll(node *yaml.Node, path []string, field string, found func(string, Value)) {
	resolved := resolve(node)
	switch {
	case resolved.Kind == yaml.SequenceNode:
		for i, item := range resolved.Content {
			findAll(item, path, field+"["+strconv.Itoa(i)+"]", found)
		}
	case len(path) > 0:
		if value := lookUp(resolved, path[0]); value != nil {
			findAll(value, path[1:], strings.TrimPrefix(field+"."+path[0], "."), found)
		}
	case resolved.ShortTag() != "!!null":
		found(field, newValue(node))
	}
}

// UnknownImage returns the first field that looks like an image or like the containers of a pod, and its
// path in the notation of Kubernetes. It is for kinds whose fields are not known.
func (o *Object) UnknownImage() (field string, value Value, found bool) {
	all := members(o.node)
	for i := 0; i+1 < len(all); i += 2 {
		switch all[i].Value {
		case "apiVersion", "kind", "metadata", "status":
			continue
		}
		if rest, node := unknownImage(all[i].Value, all[i+1]); node != nil {
			return all[i].Value + rest, newValue(node), true
		}
	}
	return "", Value{}, false
}

// unknownImage returns the first such field at or below the value of a key, and its path from there. It
// builds only the path of that field, because keys can be long.
func unknownImage(key string, node *yaml.Node) (path string, found *yaml.Node) {
	resolved := resolve(node)
	name := key[strings.LastIndexByte(key, '.')+1:]
	switch {
	case name == "image" && isText(resolved) && resolved.Value != "":
		return "", node
	case resolved.Kind == yaml.SequenceNode:
		for i, item := range resolved.Content {
			if rest, found := unknownImage("", item); found != nil {
				return "[" + strconv.Itoa(i) + "]" + rest, found
			}
		}
	}
	all := members(resolved)
	for i := 0; i+1 < len(all); i += 2 {
		if rest, found := unknownImage(all[i].Value, all[i+1]); found != nil {
			return "." + all[i].Value + rest, found
		}
	}
	return "", nil
}
