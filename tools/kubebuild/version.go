// Package kubebuild compiles Kubernetes, and the other programs of a node, from Go
// modules.
//
// The modules below tools/pins name the versions: kubernetes-1.37 and its like one minor
// version of Kubernetes each, node the programs that a node needs with any version. These
// folders are the one list of the Kubernetes versions that this project supports. CoreDNS
// is compiled from tools/images/coredns.
//
// Compiled programs are kept in the user's cache, in folders named by a hash of the pins,
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
	Minor   string // as 1.37
	Release string // as v1.37.1

	pins string // the folder of the module that pins it
}

// Find returns the pinned release of a minor version; empty: the newest. root is
// the folder of this repository's module.
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
	v := Version{Minor: minor, pins: filepath.Join(pinsFolder(root), versionPrefix+minor)}
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

// pinsFolder returns the folder of the modules that only pin versions.
func pinsFolder(root string) string { return filepath.Join(root, "tools", "pins") }

// versionPrefix begins the names of the folders that pin a Kubernetes version.
const versionPrefix = "kubernetes-"

// Minors lists the minor versions that have a module, the oldest first; there is at
// least one.
func Minors(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(pinsFolder(root), versionPrefix+"*", "go.mod"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s pins no Kubernetes version: restore the folders %s*", pinsFolder(root), versionPrefix)
	}
	var known []string
	for _, file := range files {
		known = append(known, strings.TrimPrefix(filepath.Base(filepath.Dir(file)), versionPrefix))
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
