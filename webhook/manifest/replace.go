package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Edit replaces bytes of a stream.
type Edit struct {
	Offset int64 // from the start of the stream
	Length int   // of the bytes that are replaced
	Text   string
}

// Replace returns the edit that gives a value another text, in the same quotes. It returns an error for a
// value that is not on one line, that has an anchor or a tag, or that is written with escapes.
func (d *Document) Replace(value Value, text string) (Edit, error) {
	node := resolve(value.node)
	start, found := d.index(node.Line, node.Column)
	if !found || !isText(node) || node.Value == "" {
		return Edit{}, errNotPlain
	}
	written, quote := node.Value, ""
	switch rest := d.text[start:]; {
	case bytes.HasPrefix(rest, []byte(`"`)):
		quote = `"`
	case bytes.HasPrefix(rest, []byte("'")):
		quote = "'"
	}
	written = quote + written + quote
	if !bytes.HasPrefix(d.text[start:], []byte(written)) {
		return Edit{}, errNotPlain
	}
	if quote == "" && !isPlain(text) {
		quote = `"`
	}
	return Edit{d.offset + int64(start), len(written), quote + text + quote}, nil
}

var errNotPlain = errors.New("has an anchor, a tag or escapes, or more than one line: write it out on one line")

// index returns the index of a place in the text.
func (d *Document) index(line, column int) (index int, found bool) {
	if d.starts == nil {
		d.starts = lineStarts(d.text, d.isJSON)
	}
	if line -= d.Line; line < 0 || line >= len(d.starts) {
		return 0, false
	}
	rest := d.text[d.starts[line]:]
	if line == 0 {
		rest = bytes.TrimPrefix(rest, byteOrderMark)
	}
	for range column - 1 {
		_, size := utf8.DecodeRune(rest)
		rest = rest[size:]
	}
	return len(d.text) - len(rest), len(rest) > 0
}

// lineStarts returns the indexes of the lines of a text, as its parser counts them: in YAML 1.1 more
// characters than a line feed break lines.
func lineStarts(text []byte, isJSON bool) []int {
	starts := []int{0}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		i += size
		switch {
		case r == '\n', !isJSON && (r == '\u0085' || r == '\u2028' || r == '\u2029'):
			starts = append(starts, i)
		case !isJSON && r == '\r' && !bytes.HasPrefix(text[i:], []byte("\n")):
			starts = append(starts, i)
		}
	}
	return starts
}

// isPlain reports whether an image needs no quotes: it begins with a letter or a digit, and has no
// brackets, as an IPv6 address has.
func isPlain(image string) bool {
	c := image[0]
	return !strings.ContainsAny(image, "[]") && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9')
}

// Apply copies a stream with edits, whose offsets ascend.
func Apply(out io.Writer, in io.Reader, edits []Edit) error {
	var position int64
	for _, edit := range edits {
		if _, err := io.CopyN(out, in, edit.Offset-position); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		if _, err := io.CopyN(io.Discard, in, int64(edit.Length)); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		if _, err := io.WriteString(out, edit.Text); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		position = edit.Offset + int64(edit.Length)
	}
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return nil
}
