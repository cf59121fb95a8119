// Package deploy contains the numbered manifests of the installation and their order: those
// of the webhook, and in namespace-owner those of an optional part, which is installed after
// them. It does not know the code that the manifests run. kubectl applies them without
// rendering. The kustomizations are for users who keep their changes in an overlay.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"

	"sigs.k8s.io/yaml"
)

const (
	order    = "order.yaml"
	numbered = "[0-9][0-9]-*.yaml"
)

//go:embed order.yaml [0-9][0-9]-*.yaml
//go:embed namespace-owner/order.yaml namespace-owner/[0-9][0-9]-*.yaml
var embedded embed.FS

// NamespaceOwner is the directory of the optional manifests for the owners of namespaces.
const NamespaceOwner = "namespace-owner"

// File is a numbered manifest.
type File struct {
	Name    string `json:"file"` // such as "01-namespace.yaml"
	Content string `json:"-"`
}

// Step is a manifest and how kubectl applies it. order.yaml describes the fields.
type Step struct {
	File
	Before []string `json:"before"`
	Verb   string   `json:"verb"`
	Wait   []string `json:"wait"`
}

// Steps returns the steps of the installation in their order.
func Steps() []Step { return embeddedSteps(".") }

// NamespaceOwnerSteps returns the steps that install the optional part for the owners of
// namespaces, after Steps.
func NamespaceOwnerSteps() []Step { return embeddedSteps(NamespaceOwner) }

func embeddedSteps(dir string) []Step {
	part, err := fs.Sub(embedded, dir)
	if err != nil {
		panic(err) // the directory is part of the program
	}
	steps, err := readSteps(part)
	if err != nil {
		panic(err) // the files are part of the program
	}
	return steps
}

// Files returns the manifests in the order of the installation.
func Files() []File { return files(Steps()) }

// NamespaceOwnerFiles returns the manifests of NamespaceOwnerSteps.
func NamespaceOwnerFiles() []File { return files(NamespaceOwnerSteps()) }

// Read returns the manifests in dir, in the order of its order.yaml. Unlike Files, it does not
// use the files that were compiled into the program.
func Read(dir fs.FS) ([]File, error) {
	steps, err := readSteps(dir)
	return files(steps), err
}

func files(steps []Step) (files []File) {
	for _, step := range steps {
		files = append(files, step.File)
	}
	return files
}

func readSteps(dir fs.FS) (steps []Step, err error) {
	content, err := fs.ReadFile(dir, order)
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict(content, &steps); err != nil {
		return nil, fmt.Errorf("%s: %w", order, err)
	}
	for i := range steps {
		if err := steps[i].read(dir); err != nil {
			return nil, fmt.Errorf("%s: step %d: %w", order, i+1, err)
		}
	}
	return steps, checkComplete(dir, steps)
}

// read sets the step's Content.
func (s *Step) read(dir fs.FS) error {
	if s.Verb != "apply" && s.Verb != "create" {
		return fmt.Errorf("%s: invalid verb %q: use apply or create", s.Name, s.Verb)
	}
	content, err := fs.ReadFile(dir, s.Name)
	if err != nil {
		return fmt.Errorf("%w: create the file or delete the step", err)
	}
	s.Content = string(content)
	return nil
}

// checkComplete returns an error unless each numbered manifest in dir has one step. A manifest
// without a step would not be installed.
func checkComplete(dir fs.FS, steps []Step) error {
	count := map[string]int{}
	for _, step := range steps {
		count[step.Name]++
	}
	names, err := fs.Glob(dir, numbered)
	if err != nil {
		return err
	}
	for _, name := range names {
		if count[name] != 1 {
			return fmt.Errorf("%s: %s has %d steps: each manifest must have one", order, name, count[name])
		}
	}
	return nil
}
