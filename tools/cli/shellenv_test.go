package cli

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShellEnvQuotesPaths(t *testing.T) {
	var script strings.Builder
	if err := PrintShellEnv(&script, "/it's/$HOME/`x`", "/a b"); err != nil {
		t.Fatal(err)
	}
	script.WriteString(`echo "$KUBECONFIG"; echo "${PATH%%:*}"`)
	output, err := exec.CommandContext(t.Context(), "sh", "-c", script.String()).Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("/it's/$HOME/`x`\n/a b\n", string(output)); diff != "" {
		t.Errorf("the shell reads (-want +got):\n%s", diff)
	}
}
