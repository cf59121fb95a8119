package admission

import (
	"errors"
	"fmt"
	"sync"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
)

// exchange is a review and its answer. Its buffers are used again by later reviews. Strings
// of a decoded review share the memory of body, so they are valid until release.
type exchange struct {
	body    []byte
	medium  *[mediumBody]byte // the memory of body, if its size is medium
	answer  []byte
	decoder jsonfields.Decoder
	memory  reservation
	summary Summary // of the answer
}

var exchanges = sync.Pool{New: func() any { return &exchange{} }}

// newExchange returns an exchange with empty buffers. The caller must release it.
func newExchange() *exchange { return exchanges.Get().(*exchange) }

// release frees the reserved memory and keeps small buffers for later reviews.
func (x *exchange) release() {
	if x.medium != nil {
		mediumBodies.Put(x.medium)
	}
	x.memory.release()
	*x = exchange{body: reusable(x.body), answer: reusable(x.answer)}
	exchanges.Put(x)
}

// maxReused is the maximum size in bytes of a buffer that is used again. A small review reserves no
// memory, so it must not occupy the buffer of a large one while its body arrives slowly.
const maxReused = smallBody

// mediumBodies has buffers for bodies of more than smallBody bytes. A review gets one only after it
// has reserved that much memory.
var mediumBodies = sync.Pool{New: func() any { return new([mediumBody]byte) }}

// reusable returns the buffer without content, or nil if it is too large.
func reusable(buffer []byte) []byte {
	if cap(buffer) > maxReused {
		return nil
	}
	return buffer[:0]
}

// reviewType is the apiVersion and the kind of a review.
type reviewType struct{ apiVersion, kind string }

// isIncomplete reports whether the apiVersion or the kind is missing or was not read.
func (t reviewType) isIncomplete() bool { return t.apiVersion == "" || t.kind == "" }

// decode reads a review of the expected type. field reads the value of any other key.
func (x *exchange) decode(expected reviewType, field func(d *jsonfields.Decoder, key string) error) error {
	if len(x.body) == 0 {
		return fmt.Errorf("the body is empty: send an %s", expected.kind)
	}
	var got reviewType
	err := x.decoder.Decode(x.body, &x.memory, func(d *jsonfields.Decoder) error {
		return d.Object(func(key string) error {
			switch key {
			case "apiVersion":
				return d.Text(&got.apiVersion)
			case "kind":
				return d.Text(&got.kind)
			}
			return field(d, key)
		})
	})
	if err != nil || got != expected {
		return explain(err, got, expected)
	}
	return nil
}

// explain returns what is wrong with a body. An error about a field comes last, so that the
// error for another kind names the kind and not the field. But it comes first if decoding ended
// before the kind was read.
func explain(err error, got, expected reviewType) error {
	rejected, field := new(rejection), new(jsonfields.FieldError)
	isField := errors.As(err, &field)
	switch {
	case errors.As(err, &rejected):
		return rejected
	case errors.Is(err, jsonfields.ErrDepth):
		return fmt.Errorf("the body is %w: use fewer levels", err)
	case err != nil && !isField:
		return fmt.Errorf("the body is not JSON: %w: send an %s as uncompressed JSON in UTF-8", err, expected.kind)
	case got != expected && !(isField && got.isIncomplete()):
		return fmt.Errorf("the body is not an %s of %s: its apiVersion is %s and its kind %s: send only this kind and version to this path",
			expected.kind, expected.apiVersion, quote(got.apiVersion), quote(got.kind))
	}
	if field.Path == "" {
		return fmt.Errorf("the %s %s", expected.kind, field.Problem)
	}
	return fmt.Errorf("the field %s of the %s %s", field.Path, expected.kind, field.Problem)
}
