// Package shellenv points a person's shell at a cluster.
package shellenv

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the commands by which a shell, with eval, uses a kubeconfig and finds
// the programs of a folder first.
func Print(w io.Writer, kubeconfig, folder string) error {
	_, err := fmt.Fprintf(w, "export KUBECONFIG=%s\nexport PATH=%s:$PATH\n", quote(kubeconfig), quote(folder))
	return err
}

// quote makes one word of s that no shell looks into.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
