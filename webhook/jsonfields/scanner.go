package jsonfields

import (
	"encoding/binary"
	"math/bits"
)

// text is a JSON text (RFC 8259). The methods read a token at an index, and return the index
// after it. If the token is invalid, they return the index of the wrong byte, and false.
type text []byte

// space skips white space. It returns the index of the byte that follows, and that byte, or 0
// at the end.
func (t text) space(i int) (int, byte) {
	if i < len(t) && t[i] > ' ' { // nearly always: the API server writes no white space
		return i, t[i]
	}
	for ; i < len(t); i++ {
		switch t[i] {
		case ' ', '\n', '\t', '\r':
		default:
			return i, t[i]
		}
	}
	return i, 0
}

// token reads white space and one byte.
func (t text) token(i int, want byte) (int, bool) {
	i, c := t.space(i)
	if c != want {
		return i, false
	}
	return i + 1, true
}

// scalar reads a string, a number, true, false or null, which begins with c.
func (t text) scalar(i int, c byte) (int, bool) {
	switch c {
	case '"':
		i, _, ok := t.str(i)
		return i, ok
	case 't':
		return t.literal(i, "true")
	case 'f':
		return t.literal(i, "false")
	case 'n':
		return t.literal(i, "null")
	}
	return t.number(i)
}

// literal reads true, false or null.
func (t text) literal(i int, word string) (int, bool) {
	for _, c := range []byte(word) {
		if i >= len(t) || t[i] != c {
			return i, false
		}
		i++
	}
	return i, true
}

// number reads a number.
func (t text) number(i int) (end int, ok bool) {
	if t.is(i, '-') {
		i++
	}
	if t.is(i, '0') {
		i, ok = i+1, true
	} else {
		i, ok = t.digits(i)
	}
	if ok && t.is(i, '.') {
		i, ok = t.digits(i + 1)
	}
	if ok && (t.is(i, 'e') || t.is(i, 'E')) {
		if i++; t.is(i, '+') || t.is(i, '-') {
			i++
		}
		i, ok = t.digits(i)
	}
	return i, ok
}

func (t text) is(i int, c byte) bool { return i < len(t) && t[i] == c }

// digits reads at least one digit.
func (t text) digits(i int) (int, bool) {
	start := i
	for i < len(t) && '0' <= t[i] && t[i] <= '9' {
		i++
	}
	return i, i > start
}

// str reads a string with its quotes. It also reports whether the string has escapes.
func (t text) str(i int) (end int, escaped, ok bool) {
	for i++; ; {
		i += ordinary(t[i:])
		switch {
		case t.is(i, '"'):
			return i + 1, escaped, true
		case !t.is(i, '\\'):
			return i, escaped, false
		}
		if i, ok = t.escape(i + 1); !ok {
			return i, true, false
		}
		escaped = true
	}
}

// escape reads the rest of an escape, after the backslash.
func (t text) escape(i int) (int, bool) {
	if i >= len(t) {
		return i, false
	}
	switch t[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, true
	case 'u':
		return t.hexadecimal(i + 1)
	}
	return i, false
}

// hexadecimal reads four hexadecimal digits.
func (t text) hexadecimal(i int) (int, bool) {
	for end := i + 4; i < end; i++ {
		if i >= len(t) || ('0' > t[i] || t[i] > '9') && ('a' > t[i]|0x20 || t[i]|0x20 > 'f') {
			return i, false
		}
	}
	return i, true
}

// ordinary returns the number of bytes before the first quote, backslash or control character.
// Bytes that are not ASCII are not checked.
func ordinary(t []byte) int {
	n := 0
	for ; n+8 <= len(t); n += 8 {
		if special := specialBytes(binary.LittleEndian.Uint64(t[n:])); special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	for n < len(t) && t[n] >= ' ' && t[n] != '"' && t[n] != '\\' {
		n++
	}
	return n
}

// specialBytes sets the highest bit of the first byte of a word that is a quote, a backslash or
// a control character, and may set bits of later bytes. See "Determine if a word has a byte
// less than n" in Bit Twiddling Hacks (https://graphics.stanford.edu/~seander/bithacks.html).
func specialBytes(word uint64) uint64 {
	const ones, highest = 0x0101010101010101, 0x8080808080808080
	quote, backslash := word^ones*'"', word^ones*'\\'
	return ((word-ones*' ')&^word | (quote-ones)&^quote | (backslash-ones)&^backslash) & highest
}
