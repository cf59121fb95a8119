// Package manifest reads the objects in manifests, with the places of their fields, and replaces values
// without touching anything else.
//
// It reads what kubectl reads: YAML and JSON, several documents in a file, and Lists. Unlike kubectl it
// refuses a key that occurs twice, because only one of the two values would be used.
//
// The files are split.go for the documents of a stream, yaml.go and json.go for parsing one, node.go for
// finding values in it, object.go for the objects in it, and replace.go for changes. Memory is bounded by
// the largest document, which may have MaxDocument bytes.
package manifest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Document is a YAML document, or a JSON value of a stream of them.
type Document struct {
	Number int // from 1, without empty documents
	Line   int // of its first byte, from 1

	text   []byte
	offset int64 // of text in the stream
	err    error // why the text could not be read
	isJSON bool  // after Objects
	starts []int // indexes of the lines, after the first Replace
}

// Size returns the size of the document in bytes.
func (d *Document) Size() int { return len(d.text) }

// Error is an error about a place in a document. Its text does not contain the place.
type Error struct {
	Line, Column int // from 1; 0: unknown
	Err          error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// errorAt returns an error about a node.
func errorAt(node *yaml.Node, format string, args ...any) *Error {
	return &Error{node.Line, node.Column, fmt.Errorf(format, args...)}
}

// Objects parses the document and returns its objects. It returns none for a document that is not an
// object of Kubernetes, such as the values of a Helm chart. An error is an *Error.
func (d *Document) Objects() ([]*Object, error) {
	if d.err != nil {
		return nil, &Error{Line: d.Line, Err: d.err}
	}
	root, err := d.parse()
	if err != nil || root == nil {
		return nil, err
	}
	if err := check(root); err != nil {
		return nil, err
	}
	return objects(root), nil
}

// parse returns the root of the document. Lines are those of the stream.
func (d *Document) parse() (*yaml.Node, error) {
	if isJSON(d.text) {
		// YAML in the flow style begins like JSON.
		if root, err := parseJSON(d.text, d.Line); err == nil || looksLikeJSON(d.text) {
			d.isJSON = true
			return root, err
		}
	}
	return parseYAML(d.text, d.Line)
}
