package cli

import (
	"fmt"
	"io"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// PrintShellEnv writes shell commands that set KUBECONFIG and put binDir first on the PATH.
func PrintShellEnv(w io.Writer, kubeconfig, binDir string) error {
	_, err := fmt.Fprintf(w, "export KUBECONFIG=%s\nexport PATH=%s:$PATH\n",
		subprocess.ShellQuote(kubeconfig), subprocess.ShellQuote(binDir))
	return err
}
