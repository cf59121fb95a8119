// Package kubebuild compiles Kubernetes and the other programs of a node from Go modules.
//
// The modules in tools/pins set the versions. A module such as kubernetes-1.37 pins one minor
// version of Kubernetes; these directories are the list of the Kubernetes versions that this
// project supports. The module node pins the programs that a node needs with any version.
// CoreDNS is compiled from tools/images/coredns.
//
// Compiled programs are kept in the user's cache, in directories named by a hash of the pins,
// the compiler and its flags. The node image and the bare API server share them.
package kubebuild

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Version is a release of Kubernetes.
type Version struct {
	Minor   string // such as 1.37
	Release string // such as v1.37.1

	pinsDir string // the module that pins it
}

// Find returns the pinned release of a minor version, or of the newest one if minor is
// empty. root is the directory of this repository's module.
func Find(root, minor string) (Version, error) {
	known, err := Minors(root)
	if err != nil {
		return Version{}, err
	}
	if minor == "" {
		minor = known[len(known)-1]
	}
	if !slices.Contains(known, minor) {
		return Version{}, fmt.Errorf("unknown Kubernetes version %q: use %s", minor, strings.Join(known, ", "))
	}
	v := Version{Minor: minor, pinsDir: filepath.Join(pinsRoot(root), versionPrefix+minor)}
	v.Release, err = release(filepath.Join(v.pinsDir, "go.mod"))
	return v, err
}

// FindFromEnvironment returns the version that the variable K8S names, such as 1.36.
func FindFromEnvironment(root string) (Version, error) {
	v, err := Find(root, os.Getenv("K8S"))
	if err != nil {
		return Version{}, fmt.Errorf("K8S: %w", err)
	}
	return v, nil
}

// pinsRoot returns the directory of the modules that only pin versions.
func pinsRoot(root string) string { return filepath.Join(root, "tools", "pins") }

// versionPrefix is the prefix of the directories that pin a Kubernetes version.
const versionPrefix = "kubernetes-"

// Minors returns the minor versions that have a module, the oldest first. The list is never
// empty.
func Minors(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(pinsRoot(root), versionPrefix+"*", "go.mod"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("list the Kubernetes versions: %s has no directory %s*: restore these directories", pinsRoot(root), versionPrefix)
	}
	var known []string
	for _, file := range files {
		known = append(known, strings.TrimPrefix(filepath.Base(filepath.Dir(file)), versionPrefix))
	}
	slices.SortFunc(known, func(a, b string) int { return semver.Compare("v"+a, "v"+b) })
	return known, nil
}

// release returns the version of Kubernetes that a go.mod file requires.
func release(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("find the pinned Kubernetes version: %w", err)
	}
	pins, err := modfile.Parse(file, content, nil)
	if err != nil {
		return "", fmt.Errorf("find the pinned Kubernetes version: %w", err)
	}
	for _, require := range pins.Require {
		if require.Mod.Path == "k8s.io/kubernetes" {
			return require.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("find the pinned Kubernetes version: %s does not require k8s.io/kubernetes: restore the file", file)
}
