package deploy

import (
	"embed"

	"sigs.k8s.io/yaml"
)

// The components that change when the API server calls the webhooks. Each is a directory with a
// kustomization. The first two exclude each other.
const (
	WarnByDefault = "warn-by-default"
	OptIn         = "opt-in"
	MirrorOptOut  = "mirror-opt-out"
)

//go:embed warn-by-default/kustomization.yaml opt-in/kustomization.yaml mirror-opt-out/kustomization.yaml
var components embed.FS

// Patch changes one object of the manifests.
type Patch struct {
	Target struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"target"`
	Operations string `json:"patch"` // a JSON patch, as JSON or YAML
}

// Patches returns the patches of a component.
func Patches(component string) []Patch {
	content, err := components.ReadFile(component + "/kustomization.yaml")
	if err != nil {
		panic(err) // the file is part of the program
	}
	var kustomization struct {
		Patches []Patch `json:"patches"`
	}
	if err := yaml.Unmarshal(content, &kustomization); err != nil {
		panic(err) // the file is part of the program
	}
	return kustomization.Patches
}
