package deploy

import (
	_ "embed"

	"sigs.k8s.io/yaml"
)

//go:embed warn-by-default/kustomization.yaml
var warnByDefault []byte

// Patch changes one object of the manifests.
type Patch struct {
	Target struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"target"`
	Operations string `json:"patch"` // a JSON patch, as JSON or YAML
}

// WarnByDefault returns the patches of the component warn-by-default, which sets the mode of
// namespaces without a label to warn.
func WarnByDefault() []Patch {
	var component struct {
		Patches []Patch `json:"patches"`
	}
	if err := yaml.Unmarshal(warnByDefault, &component); err != nil {
		panic(err) // the file is part of the program
	}
	return component.Patches
}
