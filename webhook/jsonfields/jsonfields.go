// Package jsonfields decodes chosen fields of a JSON text and skips the others. Package
// admission decodes every review with it. It reads the text once, from the first to the last
// byte, and rejects every text that encoding/json rejects. docs/design.md compares it with
// other parsers.
//
// It differs from encoding/json in these points:
//
//   - Keys match only in their exact spelling, as in the API server. encoding/json ignores
//     their case.
//   - A field that occurs twice is an error if both values are set: one of them could pass a
//     check and the other one could be used. encoding/json uses the last one, or merges them.
//   - Text is not copied. Decoded strings share the memory of the JSON text, which must not
//     change while they are used. Bytes that are not UTF-8 stay as they are.
//   - A text that is nested deeper than MaxDepth is an error.
//
// jsonfields.go has the decoder, scanner.go reads tokens, skip.go skips values. The package
// knows no field: the callers name them.
package jsonfields

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is the maximum nesting depth of a text. Objects of Kubernetes have less than 20
// levels.
const MaxDepth = 200

var (
	errEnd = errors.New("unexpected end")
	// ErrDepth is the error about a text that is nested deeper than MaxDepth.
	ErrDepth = fmt.Errorf("nested deeper than %d levels", MaxDepth)
)

// Memory limits the memory of decoded lists.
type Memory interface {
	// Reserve is called before memory is allocated. Its error ends the decoding.
	Reserve(bytes int64) error
}

// Unlimited is a Memory without a limit, for texts whose size is limited.
type Unlimited struct{}

// Reserve returns nil.
func (Unlimited) Reserve(int64) error { return nil }

// Decoder reads one JSON text. Each of its methods reads one value. Null leaves a value
// unchanged. An error about a value is a *FieldError, and an error of Memory is returned as it
// is. Any other error except ErrDepth means that the text is not JSON.
type Decoder struct {
	text   text
	pos    int // index of the next byte in text
	depth  int
	memory Memory
}

// FieldError is an error about the value of a field.
type FieldError struct {
	Path    string // such as spec.containers.image; empty: the whole text
	Problem string // such as "must have the JSON type string, not number"
}

func (e *FieldError) Error() string {
	if e.Path == "" {
		return "the text " + e.Problem
	}
	return "the field " + e.Path + " " + e.Problem
}

// Decode reads a text with decode, which must read one value. Nothing but white space may
// follow.
func (d *Decoder) Decode(text []byte, memory Memory, decode func(*Decoder) error) error {
	*d = Decoder{text: text, memory: memory}
	if err := decode(d); err != nil {
		return err
	}
	d.next()
	if d.pos < len(text) {
		return d.text.check(d.pos, false)
	}
	return nil
}

// Object reads an object. It calls field for each key; field must read the value.
func (d *Decoder) Object(field func(key string) error) error {
	if ok, err := d.begin('{'); !ok {
		return err
	}
	for more := d.next() != '}'; more; {
		key, err := d.string()
		if err != nil {
			return err
		}
		if err := d.read(':'); err != nil {
			return err
		}
		if err := field(key); err != nil {
			return inField(err, key)
		}
		if more, err = d.more('}'); err != nil {
			return err
		}
	}
	return d.end('}')
}

// Member reads an object of which only one key is needed. It calls read, which must read the
// value of that key.
func (d *Decoder) Member(key string, read func() error) error {
	return d.Object(func(k string) error {
		if k != key {
			return d.Skip()
		}
		return read()
	})
}

// inField adds the key of the enclosing object to the path of a FieldError.
func inField(err error, key string) error {
	if field := new(FieldError); errors.As(err, &field) {
		field.Path = strings.TrimSuffix(key+"."+field.Path, ".")
	}
	return err
}

// Optional reads a value that may be null. Otherwise it calls read with storage, and value
// points to storage.
func Optional[T any](d *Decoder, value **T, storage *T, read func(*T) error) error {
	switch {
	case d.next() == 'n':
		return d.null()
	case *value != nil:
		return errTwice()
	}
	*value = storage
	return read(storage)
}

// List reads a list. It appends an element for each value, and calls element to read it. A
// null adds an empty element.
func List[T any](d *Decoder, list *[]T, element func(*T) error) error {
	if ok, err := d.begin('['); !ok {
		return err
	}
	if len(*list) > 0 {
		return errTwice()
	}
	return d.elements(func() error {
		if err := grow(d.memory, list); err != nil {
			return err
		}
		return element(&(*list)[len(*list)-1])
	})
}

// Each reads a list that is not kept, so that it needs no memory. It calls element for each value;
// element must read it.
func (d *Decoder) Each(element func() error) error {
	if ok, err := d.begin('['); !ok {
		return err
	}
	return d.elements(element)
}

// elements reads the rest of a list after its opening bracket.
func (d *Decoder) elements(element func() error) error {
	for more := d.next() != ']'; more; {
		err := element()
		if err != nil {
			return err
		}
		if more, err = d.more(']'); err != nil {
			return err
		}
	}
	return d.end(']')
}

// minCapacity is enough for the lists of most pods.
const minCapacity = 4

// grow appends an empty element. It reserves the memory of a larger list before it allocates
// the list.
func grow[T any](memory Memory, list *[]T) error {
	var empty T
	if n := len(*list); n == cap(*list) {
		capacity := max(minCapacity, 2*n)
		if err := memory.Reserve(int64(capacity) * int64(unsafe.Sizeof(empty))); err != nil {
			return err
		}
		*list = append(make([]T, 0, capacity), *list...)
	}
	*list = append(*list, empty)
	return nil
}

// Text reads a string.
func (d *Decoder) Text(value *string) error {
	if ok, err := d.isNext('"'); !ok {
		return err
	}
	if *value != "" {
		return errTwice()
	}
	text, err := d.string()
	*value = text
	return err
}

// Texts reads an object, such as labels, and keeps the strings of some keys. Only null leaves
// the map nil.
func (d *Decoder) Texts(values *map[string]string, keys ...string) error {
	if d.next() == '{' && *values == nil {
		*values = map[string]string{}
	}
	return d.Object(func(key string) error {
		if !slices.Contains(keys, key) {
			return d.Skip()
		}
		value := (*values)[key]
		err := d.Text(&value)
		(*values)[strings.Clone(key)] = value
		return err
	})
}

// Raw reads any value and keeps it as JSON.
func (d *Decoder) Raw(value *[]byte) error {
	d.next()
	start := d.pos
	err := d.Skip()
	*value = d.text[start:d.pos]
	return err
}

// Skip reads any value and ignores it.
func (d *Decoder) Skip() (err error) {
	d.pos, err = d.text.skip(d.pos, d.depth)
	return err
}

// next returns the first byte of the next token, without reading it, or 0 at the end.
func (d *Decoder) next() (c byte) {
	d.pos, c = d.text.space(d.pos)
	return c
}

// read reads a token of one byte.
func (d *Decoder) read(token byte) (err error) {
	i, ok := d.text.token(d.pos, token)
	d.pos = i
	return d.text.check(i, ok)
}

// null reads null.
func (d *Decoder) null() error {
	i, ok := d.text.literal(d.pos, "null")
	d.pos = i
	return d.text.check(i, ok)
}

// string reads a string and returns its value. Only escapes need a copy.
func (d *Decoder) string() (string, error) {
	if c := d.next(); c != '"' {
		return "", d.text.check(d.pos, false)
	}
	start := d.pos
	end, escaped, ok := d.text.str(start)
	d.pos = end
	switch {
	case !ok:
		return "", d.text.check(end, ok)
	case escaped:
		return unescape(d.text[start:end])
	}
	return view(d.text[start+1 : end-1]), nil
}

func unescape(quoted []byte) (value string, err error) {
	err = json.Unmarshal(quoted, &value)
	return value, err
}

// view returns bytes as a string without copying them.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// check returns an error about the byte at an index if a token is not ok.
func (t text) check(i int, ok bool) error {
	switch {
	case ok:
		return nil
	case i >= len(t):
		return errEnd
	}
	if t[i] >= utf8.RuneSelf { // %q shows another character
		return fmt.Errorf("unexpected byte 0x%02x at %d", t[i], i)
	}
	return fmt.Errorf("unexpected byte %q at %d", t[i], i)
}

// isNext reports whether the next value begins with a byte. It reads null. A value of another
// type is an error.
func (d *Decoder) isNext(first byte) (bool, error) {
	switch c := d.next(); {
	case c == first:
		return true, nil
	case c == 'n':
		return false, d.null()
	case typeOf(c) == "":
		return false, d.text.check(d.pos, false)
	default:
		return false, &FieldError{Problem: "must have the JSON type " + typeOf(first) + ", not " + typeOf(c)}
	}
}

// typeOf returns the type of the value that begins with a byte, or an empty string.
func typeOf(first byte) string {
	switch first {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return "number"
	}
	return ""
}

// begin reads the opening bracket of an object or a list, like isNext.
func (d *Decoder) begin(bracket byte) (bool, error) {
	ok, err := d.isNext(bracket)
	if ok {
		d.pos++
		if d.depth++; d.depth > MaxDepth {
			return false, ErrDepth
		}
	}
	return ok, err
}

// more reports whether another value follows in an object or a list. It reads the comma.
func (d *Decoder) more(bracket byte) (bool, error) {
	if d.next() == bracket {
		return false, nil
	}
	return true, d.read(',')
}

// end reads the closing bracket of an object or a list.
func (d *Decoder) end(bracket byte) error {
	d.depth--
	return d.read(bracket)
}

func errTwice() error { return &FieldError{Problem: "occurs twice: send it once"} }
