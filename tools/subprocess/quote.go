package subprocess

import "strings"

// ShellQuote returns s as one word of a POSIX shell, in which the shell expands nothing.
func ShellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
