package admission

import (
	"strconv"
	"strings"
)

const (
	// maxQuoted bounds what is quoted from a request. The path, tag and digest
	// of an image can have 520 bytes; the rest is for its registry.
	maxQuoted = 640
	// maxLogged bounds one attribute of a log line.
	maxLogged = 2048
)

// quote returns s in quotes and in ASCII, bounded.
func quote(s string) string {
	return strconv.QuoteToASCII(clip(s, maxQuoted))
}

// plain returns s in ASCII without control characters: what users write must not
// draw on other users' terminals.
func plain(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}

// clip returns at most the first n bytes of s, and dots if there were more.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
