package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDocument is the maximum size of a document in bytes. A list of a few thousand pods is smaller.
const MaxDocument = 32 << 20

// splitter splits a stream into documents.
type splitter struct {
	in     *bufio.Reader
	yield  func(*Document) bool
	number int
	done   bool // yield has returned false

	offset int64 // of the next line
	line   int   // its number, from 1
	inLine bool  // it is the rest of a long line

	text    []byte // of the document so far
	start   int64  // its offset
	first   int    // its first line
	omitted bool   // the document is larger than MaxDocument
}

// Split yields the documents of a stream, except empty ones, until yield returns false. The error is one
// of the reader. Errors about a document are those of its Objects.
func Split(in io.Reader, yield func(*Document) bool) error {
	s := &splitter{in: bufio.NewReaderSize(in, 64<<10), yield: yield, line: 1, first: 1}
	for !s.done {
		line, err := s.in.ReadSlice('\n')
		s.add(line)
		switch {
		case errors.Is(err, io.EOF):
			s.end()
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	return nil
}

// add adds a line, or a part of a long one, to the document or to the next one.
func (s *splitter) add(line []byte) {
	if isSeparator(line) && !s.inLine && !isDirective(s.text) {
		s.end()
		s.start, s.first = s.offset, s.line
	}
	s.offset += int64(len(line))
	s.inLine = !bytes.HasSuffix(line, []byte("\n"))
	if !s.inLine {
		s.line++
	}
	if s.omitted = s.omitted || len(s.text)+len(line) > MaxDocument; !s.omitted {
		s.text = append(s.text, line...)
	}
}

// isSeparator reports whether a document begins in a line (https://yaml.org/spec/1.2.2/#912-document-markers).
func isSeparator(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r' || rest[0] == '\n')
}

// isDirective reports whether the text has only directives, which belong to the document after the
// separator.
func isDirective(text []byte) bool {
	found := false
	for line := range bytes.Lines(text) {
		switch {
		case bytes.HasPrefix(line, []byte("%")):
			found = true
		case !isBlank(line):
			return false
		}
	}
	return found
}

// isBlank reports whether a line has no content. A comment ends before any line break of YAML 1.1, not only
// before a line feed.
func isBlank(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#' && !bytes.ContainsAny(line, "\r\u0085\u2028\u2029")
}

// isEmpty reports whether a document has no content.
func isEmpty(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimPrefix(line, byteOrderMark)
		if rest, found := bytes.CutPrefix(line, []byte("---")); found {
			line = rest
		}
		if !isBlank(line) && string(bytes.TrimSpace(line)) != "..." {
			return false
		}
	}
	return true
}

var byteOrderMark = []byte("\ufeff")

// end yields the document that is complete.
func (s *splitter) end() {
	text := s.text
	s.text = nil
	switch {
	case s.omitted:
		s.omitted = false
		s.yieldDocument(nil, 0, fmt.Errorf("the document is larger than %d MiB: split it, or check running pods with audit", MaxDocument>>20))
	case isEmpty(text):
	case bytes.IndexByte(text, 0) >= 0 || !utf8.Valid(text):
		s.yieldDocument(nil, 0, errors.New("not a text in UTF-8: convert the file, or do not name it"))
	case isJSON(text):
		s.endJSON(text)
	default:
		s.yieldDocument(text, 0, nil)
	}
}

// endJSON yields each JSON value of a text, and a rest that is not JSON as one document.
func (s *splitter) endJSON(text []byte) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	start := 0
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return
		}
		end := int(decoder.InputOffset())
		if err != nil {
			end = len(text)
		}
		s.yieldDocument(text[start:end], start, nil)
		if start = end; err != nil {
			return
		}
	}
}

// yieldDocument yields a part of the document from an offset in it.
func (s *splitter) yieldDocument(text []byte, offset int, err error) {
	if s.done {
		return
	}
	s.number++
	d := &Document{Number: s.number, Line: s.first, text: text, offset: s.start + int64(offset), err: err}
	s.first += bytes.Count(text, []byte("\n"))
	s.done = !s.yield(d)
}
