package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// TestAPIServerAcceptsKustomizations does not check the changes of the component
// warn-by-default: package deploy does.
func TestAPIServerAcceptsKustomizations(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	content, err := server.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, kubeconfig, content)
	dir := writeOverlay(t, deploy.WarnByDefault)
	for kustomization, want := range map[string]string{
		root + "/deploy": "warn workloads unknown-mode",
		dir:              "warn workloads unknown-mode warn-by-default",
	} {
		got, err := subprocess.Command{Args: []string{kubectlProgram(t), "--kubeconfig=" + kubeconfig, "apply", "-k", kustomization,
			"--server-side", "--force-conflicts", "--dry-run=server",
			`-o=jsonpath={range .items[?(@.metadata.name=="image-webhook-warnings")].webhooks[*]}{.name} {end}`}}.Output(t.Context())
		if err != nil {
			subprocess.Print(os.Stderr, "apply "+kustomization, err)
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, strings.TrimSpace(strings.ReplaceAll(got, ".image-webhook.dev", ""))); diff != "" {
			t.Errorf("%s: webhooks that warn differ (-want +got):\n%s", kustomization, diff)
		}
	}
}
