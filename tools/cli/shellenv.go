package cli

import (
	"fmt"
	"io"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// PrintShellEnv writes commands for eval in a shell. They set KUBECONFIG and put folder
// first on the PATH.
func PrintShellEnv(w io.Writer, kubeconfig, folder string) error {
	_, err := fmt.Fprintf(w, "export KUBECONFIG=%s\nexport PATH=%s:$PATH\n",
		subprocess.ShellQuote(kubeconfig), subprocess.ShellQuote(folder))
	return err
}
