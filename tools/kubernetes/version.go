// Package kubernetes builds the programs of Kubernetes, and of what it stands on,
// from Go modules alone: the folder of each minor version is a nested module that
// pins them as its tools, and the folder node is one for what a node needs with any
// version.
//
// What was built lies in the user's cache, in folders named by a hash of the pins,
// the compiler and its flags; the node image and the bare API server share it.
package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Newest is the minor version that is used unless another is asked for.
const Newest = "1.37"

// Version is a release of Kubernetes.
type Version struct {
	Minor   string // as 1.37
	Release string // as v1.37.1

	pins string // the folder of the module that pins it
}

// Find returns the pinned release of a minor version; empty: the newest. root is
// the folder of this repository's module.
func Find(root, minor string) (Version, error) {
	if minor == "" {
		minor = Newest
	}
	known, err := Minors(root)
	if err != nil {
		return Version{}, err
	}
	if !slices.Contains(known, minor) {
		return Version{}, fmt.Errorf("no Kubernetes %s is pinned here: write one of %s", minor, strings.Join(known, ", "))
	}
	v := Version{Minor: minor, pins: filepath.Join(folder(root), minor)}
	v.Release, err = release(filepath.Join(v.pins, "go.mod"))
	return v, err
}

// FindFromEnvironment is Find of what the variable K8S says, as 1.36.
func FindFromEnvironment(root string) (Version, error) {
	v, err := Find(root, os.Getenv("K8S"))
	if err != nil {
		return Version{}, fmt.Errorf("K8S: %w", err)
	}
	return v, nil
}

// folder is that of the modules.
func folder(root string) string { return filepath.Join(root, "tools", "kubernetes") }

// Minors lists the minor versions that have a module, the oldest first.
func Minors(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder(root), "[0-9]*", "go.mod"))
	if err != nil {
		return nil, err
	}
	var known []string
	for _, file := range files {
		known = append(known, filepath.Base(filepath.Dir(file)))
	}
	slices.SortFunc(known, func(a, b string) int { return semver.Compare("v"+a, "v"+b) })
	return known, nil
}

// release reads which Kubernetes a module requires.
func release(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the pins: %w", err)
	}
	pins, err := modfile.Parse(file, content, nil)
	if err != nil {
		return "", fmt.Errorf("read the pins: %w", err)
	}
	for _, require := range pins.Require {
		if require.Mod.Path == "k8s.io/kubernetes" {
			return require.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require k8s.io/kubernetes", file)
}
