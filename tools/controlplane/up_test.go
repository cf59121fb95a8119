package controlplane

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
)

// What starting the webhook anew would not bring about is refused.
func TestCheck(t *testing.T) {
	root := t.TempDir()
	manifest := filepath.Join(root, "deploy", "01-namespace.yaml")
	if err := os.Mkdir(filepath.Dir(manifest), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(content string) {
		if err := os.WriteFile(manifest, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("kind: Namespace\n")
	_, manifests, err := readManifests(root)
	if err != nil {
		t.Fatal(err)
	}
	const remedy = ": end it first with `bin/controlplane down`"
	tests := []struct {
		name    string
		release string // that is asked for
		content string // of the manifest
		want    string // empty: nothing is wrong
	}{
		{"as it was", "v1.37.1", "kind: Namespace\n", ""},
		{"another Kubernetes", "v1.36.3", "kind: Namespace\n", "it is up with Kubernetes v1.37.1, not v1.36.3" + remedy},
		{"another manifest", "v1.37.1", "kind: Pod\n", "deploy/ has changed since it was installed" + remedy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.content)
			programs := &kubebuild.Programs{Version: kubebuild.Version{Release: tt.release}}
			err := (&Plane{}).check(State{Release: "v1.37.1", Manifests: manifests}, programs, root)
			if got := message(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
