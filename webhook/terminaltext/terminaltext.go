// Package terminaltext writes texts for terminals and logs of CI systems: texts of other users that must not
// control a terminal, and numbers with their nouns.
package terminaltext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Clean returns s on one line, with escape sequences instead of control characters, invisible characters
// and invalid UTF-8. It keeps backslashes, which Windows has in paths.
func Clean(s string) string {
	if IsClean(s) {
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

// IsClean reports whether Clean returns s as it is.
func IsClean(s string) bool {
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

// Number returns a number with thousands separators, such as 12,000.
func Number(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", Number(n/1000), n%1000)
}

// Choose returns a number with one of two words, such as "1 is" or "2 are".
func Choose(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + several
}

// Count returns a number with its noun, such as "12,000 pods".
func Count(n int, noun string) string { return Choose(n, noun, noun+"s") }
