package subprocess

import "strings"

// ShellQuote quotes s as one word of a POSIX shell, in which nothing is expanded.
func ShellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
