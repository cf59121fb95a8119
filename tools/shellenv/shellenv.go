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
	_, err := fmt.Fprintf(w, "export KUBECONFIG=%s\nexport PATH=%s:$PATH\n", Quote(kubeconfig), Quote(folder))
	return err
}

// Quote makes one word of s that no shell looks into.
func Quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
