package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuoted is the maximum size of a quoted reference in bytes, as in the denials of the server. The path,
// tag and digest of an image can have 520 bytes; the rest is for its registry.
const maxQuoted = 640

// quote returns at most maxQuoted bytes of a reference, in quotes and in ASCII.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "..."
	}
	return strconv.QuoteToASCII(s)
}

// clean returns s on one line, with escape sequences instead of control characters, invisible characters
// and invalid UTF-8. It keeps backslashes, which Windows has in paths.
func clean(s string) string {
	if isClean(s) {
		return s
	}
	var text strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if isHarmless(r, size) {
			text.WriteString(s[:size])
		} else {
			quoted := strconv.Quote(s[:size])
			text.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return text.String()
}

func isClean(s string) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !isHarmless(r, size) {
			return false
		}
		i += size
	}
	return true
}

// isHarmless reports whether a character has no effect except that it is visible.
func isHarmless(r rune, size int) bool {
	return strconv.IsPrint(r) && !(r == utf8.RuneError && size == 1)
}

// encode returns a value as JSON on one line. Package json escapes only some control characters: others,
// and invisible characters, are escaped too. The values remain the same.
func encode(value any) ([]byte, error) {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(encoded.String(), "\n")
	if isClean(text) {
		return []byte(text), nil
	}
	var escaped bytes.Buffer
	for _, r := range text {
		switch {
		case strconv.IsPrint(r):
			escaped.WriteRune(r)
		case r > 0xFFFF:
			// JSON has no escape sequence for these: they are written as a surrogate pair.
			fmt.Fprintf(&escaped, `\u%04x\u%04x`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
		default:
			fmt.Fprintf(&escaped, `\u%04x`, r)
		}
	}
	return escaped.Bytes(), nil
}
