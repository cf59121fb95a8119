package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/terminaltext"
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
	if terminaltext.IsClean(text) {
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
