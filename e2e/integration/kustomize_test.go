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

// TestAPIServerAcceptsKustomizations does not check the changes of the component
// warn-by-default: package deploy does.
func TestAPIServerAcceptsKustomizations(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	programs, err := kubebuild.FromEnvironment(t.Context(), root)
	if err == nil {
		err = programs.Build(t.Context(), reporter(), "kubectl")
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := server.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	write(t, kubeconfig, content)
	checkout, err := filepath.Abs(root)
	if err == nil {
		checkout, err = filepath.Rel(dir, checkout)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "kustomization.yaml"),
		[]byte("resources: ["+checkout+"/deploy]\ncomponents: ["+checkout+"/deploy/warn-by-default]\n"))
	for kustomization, want := range map[string]string{
		root + "/deploy": "warn workloads unknown-mode",
		dir:              "warn workloads unknown-mode warn-by-default",
	} {
		got, err := subprocess.Command{Args: []string{programs.Path("kubectl"), "--kubeconfig=" + kubeconfig, "apply", "-k", kustomization,
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
