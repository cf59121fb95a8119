package manifest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML parses a text with one document, which begins in a line of the stream. The result is nil
// for an empty document.
func parseYAML(text []byte, line int) (*yaml.Node, error) {
	if bytes.HasPrefix(bytes.TrimPrefix(text, byteOrderMark), byteOrderMark) {
		return nil, &Error{line, 1, errByteOrderMark} // the parser loses characters behind it
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, next yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxError(text, line, err)
	}
	// The splitter does not know the marker of an end.
	if err := decoder.Decode(&next); err == nil {
		return nil, &Error{next.Line + line - 1, next.Column, errors.New("a second document without the separator ---: add it")}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(text, line, err)
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	if err := prepare(root, line-1); err != nil {
		return nil, err
	}
	if root.Kind == yaml.ScalarNode && strings.HasPrefix(root.Value, string(byteOrderMark)) {
		return nil, &Error{root.Line, root.Column, errByteOrderMark}
	}
	return root, nil
}

var errByteOrderMark = errors.New("a byte order mark inside of the file: remove it")

// prepare adds lines to the places of a node and of all nodes below it, and reads their tags as kubectl
// does: it decodes !!binary, and ignores tags that it does not know.
func prepare(node *yaml.Node, lines int) error {
	node.Line += lines
	if node.Kind == yaml.ScalarNode {
		switch tag := node.ShortTag(); {
		case tag == "!!binary":
			decoded, err := base64.StdEncoding.DecodeString(node.Value)
			if err != nil {
				return errorAt(node, "invalid base64 after !!binary: correct it")
			}
			node.Tag, node.Value = "!!str", string(decoded)
		case !slices.Contains(scalarTags, tag):
			node.Tag = "!!str"
		}
	}
	for _, child := range node.Content {
		if err := prepare(child, lines); err != nil {
			return err
		}
	}
	return nil
}

// scalarTags are the tags that have a meaning for a scalar.
var scalarTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!merge"}

// yamlLine matches the line in an error of the parser.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

// syntaxError returns an error of the parser, which knows at most the line, with what to do.
func syntaxError(text []byte, line int, err error) error {
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	found := &Error{Line: line}
	if match := yamlLine.FindStringSubmatch(reason); match != nil {
		number, _ := strconv.Atoi(match[1]) // digits
		found.Line, reason = line-1+number, reason[len(match[0]):]
	}
	remedy := "check the quotes and the indentation near this line"
	switch {
	case bytes.Contains(text, []byte("{{")):
		remedy = "render the template first, such as helm template . | kubectl image-webhook check -"
	case (strings.Contains(reason, "cannot start any token") || strings.Contains(reason, "tab character")) && bytes.Contains(text, []byte("\t")):
		remedy = "indent with spaces instead of tabs"
	}
	found.Err = fmt.Errorf("invalid YAML: %s: %s", reason, remedy)
	return found
}
