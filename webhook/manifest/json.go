package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// isJSON reports whether a text begins like a JSON object.
func isJSON(text []byte) bool {
	// kubectl skips any space here, also those that JSON does not know.
	return bytes.HasPrefix(bytes.TrimLeftFunc(bytes.TrimPrefix(text, byteOrderMark), unicode.IsSpace), []byte("{"))
}

// looksLikeJSON reports whether the first key of an object is in quotes.
func looksLikeJSON(text []byte) bool {
	_, rest, _ := bytes.Cut(text, []byte("{"))
	return bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`"`))
}

// jsonParser builds the nodes of a JSON text. The parser of YAML cannot: it refuses tabs, surrogate
// pairs and long keys, which JSON allows.
type jsonParser struct {
	decoder *json.Decoder
	text    []byte
	depth   int // of the value that is read

	// The place of a byte, which moves forward only.
	pos          int
	line, column int
}

// parseJSON parses a text with one JSON value, which begins in a line of the stream.
func parseJSON(text []byte, line int) (*yaml.Node, error) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	p := &jsonParser{decoder: json.NewDecoder(bytes.NewReader(text)), text: text, line: line, column: 1}
	p.decoder.UseNumber()
	root, err := p.value()
	if tooDeep := new(Error); errors.As(err, &tooDeep) {
		return nil, tooDeep
	}
	if err != nil {
		offset := int(p.decoder.InputOffset())
		if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
			offset = int(syntax.Offset) - 1
		}
		p.moveTo(offset)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, &Error{p.line, p.column, fmt.Errorf("invalid JSON: %w: check the commas and the quotes near this line", err)}
	}
	return root, nil
}

// moveTo moves the place to an offset.
func (p *jsonParser) moveTo(offset int) {
	for offset = min(offset, len(p.text)); p.pos < offset; {
		if p.text[p.pos] == '\n' {
			p.line, p.column = p.line+1, 1
			p.pos++
			continue
		}
		_, size := utf8.DecodeRune(p.text[p.pos:])
		p.pos += size
		p.column++
	}
}

// value reads a value.
func (p *jsonParser) value() (*yaml.Node, error) {
	offset := int(p.decoder.InputOffset())
	offset += len(p.text[offset:]) - len(bytes.TrimLeft(p.text[offset:], " \t\r\n:,"))
	p.moveTo(offset)
	node := &yaml.Node{Line: p.line, Column: p.column}
	if p.depth > maxDepth {
		return nil, errorAt(node, "nested deeper than %d levels: check the brackets", maxDepth)
	}
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		return node, p.children(node, token)
	case string:
		node.Kind, node.Tag, node.Value, node.Style = yaml.ScalarNode, "!!str", token, yaml.DoubleQuotedStyle
	case json.Number:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!float", token.String()
	case bool:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!bool", fmt.Sprint(token)
	default:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!null", "null"
	}
	return node, nil
}

// children reads the rest of an object or a list after its opening bracket.
func (p *jsonParser) children(node *yaml.Node, open json.Delim) error {
	node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		node.Kind, node.Tag = yaml.MappingNode, "!!map"
	}
	p.depth++
	defer func() { p.depth-- }()
	for p.decoder.More() {
		child, err := p.value() // the keys of an object too
		if err != nil {
			return err
		}
		node.Content = append(node.Content, child)
	}
	_, err := p.decoder.Token()
	return err
}
