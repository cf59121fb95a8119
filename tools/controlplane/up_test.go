package controlplane

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
)

func TestUpRefusesOtherVersionAndManifests(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(root, "deploy", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const webhook, namespaceOwner = "01-namespace.yaml", "namespace-owner/01-rbac.yaml"
	write("order.yaml", "- {file: 01-namespace.yaml, verb: apply}\n")
	write("namespace-owner/order.yaml", "- {file: 01-rbac.yaml, verb: apply}\n")
	write(webhook, "kind: Namespace\n")
	write(namespaceOwner, "kind: Role\n")
	files, err := readManifests(root)
	if err != nil {
		t.Fatal(err)
	}
	hash := files.hash()
	const remedy = ": stop it first with `bin/controlplane down`"
	tests := []struct {
		name    string
		release string // that the user chose
		static  bool   // the user asked for static files
		file    string
		content string
		want    string // the error; empty: none
	}{
		{"unchanged", "v1.37.1", false, webhook, "kind: Namespace\n", ""},
		{"other Kubernetes version", "v1.36.3", false, webhook, "kind: Namespace\n", "the control plane runs Kubernetes v1.37.1, not v1.36.3" + remedy},
		{"static files", "v1.37.1", true, webhook, "kind: Namespace\n", "the control plane was started without static files" + remedy},
		{"changed manifest of the webhook", "v1.37.1", false, webhook, "kind: Pod\n", "deploy/ has changed since the control plane was started" + remedy},
		{"restored manifest", "v1.37.1", false, webhook, "kind: Namespace\n", ""},
		{"changed manifest for owners", "v1.37.1", false, namespaceOwner, "kind: ClusterRole\n", "deploy/ has changed since the control plane was started" + remedy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.file, tt.content)
			programs := &kubebuild.Programs{Version: kubebuild.Version{Release: tt.release}}
			err := (&Plane{Static: tt.static}).checkUnchanged(State{Release: "v1.37.1", ManifestHash: hash}, programs, root)
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
