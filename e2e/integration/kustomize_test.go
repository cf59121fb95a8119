package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// The API server takes what `kubectl apply -k` sends it, also where warn is the mode
// of namespaces without one. What that changes is tested beside the manifests.
func TestKustomization(t *testing.T) {
	t.Parallel()
	p := standard(t)
	programs, err := kubebuild.FromEnvironment(t.Context(), root)
	if err == nil {
		err = programs.Build(t.Context(), report(), "kubectl")
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := p.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	write(t, kubeconfig, content)
	above, err := filepath.Abs(root)
	if err == nil {
		above, err = filepath.Rel(dir, above)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "kustomization.yaml"),
		[]byte("resources: ["+above+"/deploy]\ncomponents: ["+above+"/deploy/warn-by-default]\n"))
	for folder, hooks := range map[string]string{
		root + "/deploy": "warn workloads unknown-mode",
		dir:              "warn workloads unknown-mode warn-by-default",
	} {
		taken, err := subprocess.Command{Args: []string{programs.Path("kubectl"), "--kubeconfig=" + kubeconfig, "apply", "-k", folder,
			"--server-side", "--force-conflicts", "--dry-run=server",
			`-o=jsonpath={range .items[?(@.metadata.name=="image-webhook-warnings")].webhooks[*]}{.name} {end}`}}.Output(t.Context())
		if err != nil {
			subprocess.Print(os.Stderr, "apply "+folder, err)
			t.Fatal(err)
		}
		if diff := cmp.Diff(hooks, strings.TrimSpace(strings.ReplaceAll(taken, ".image-webhook.dev", ""))); diff != "" {
			t.Errorf("%s: the webhooks that warn (-want +got):\n%s", folder, diff)
		}
	}
}
