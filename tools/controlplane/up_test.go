package controlplane

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
)

func TestUpRefusesOtherVersionAndManifests(t *testing.T) {
	root := t.TempDir()
	manifest := filepath.Join(root, "deploy", "01-namespace.yaml")
	if err := os.Mkdir(filepath.Dir(manifest), 0o755); err != nil {
		t.Fatal(err)
	}
	order := filepath.Join(root, "deploy", "order.yaml")
	if err := os.WriteFile(order, []byte("- {file: 01-namespace.yaml, verb: apply}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(content string) {
		if err := os.WriteFile(manifest, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("kind: Namespace\n")
	_, hash, err := readManifests(root)
	if err != nil {
		t.Fatal(err)
	}
	const remedy = ": stop it first with `bin/controlplane down`"
	tests := []struct {
		name    string
		release string // that the user chose
		content string // of the manifest
		want    string // the error; empty: none
	}{
		{"unchanged", "v1.37.1", "kind: Namespace\n", ""},
		{"other Kubernetes version", "v1.36.3", "kind: Namespace\n", "the control plane runs Kubernetes v1.37.1, not v1.36.3" + remedy},
		{"changed manifest", "v1.37.1", "kind: Pod\n", "deploy/ has changed since the control plane was started" + remedy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.content)
			programs := &kubebuild.Programs{Version: kubebuild.Version{Release: tt.release}}
			err := (&Plane{}).checkUnchanged(State{Release: "v1.37.1", ManifestHash: hash}, programs, root)
			if got := errorText(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
