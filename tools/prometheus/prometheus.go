// Package prometheus compiles Prometheus and promtool into the cache. The module
// tools/pins/prometheus pins their version.
//
// The programs discover targets only in files, over HTTP and in Kubernetes. They do not contain
// the web interface of Prometheus, because the Go module does not.
package prometheus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

const (
	// Server is the program that scrapes targets and evaluates rules.
	Server = "prometheus"
	// Promtool is the program that checks and tests rules.
	Promtool = "promtool"
)

// flags omit the clients of the clouds, which are most of the code.
var flags = gobuild.Flags("remove_all_sd,enable_kubernetes_sd", "")

// Build returns the path of a program, Server or Promtool, in the cache. It compiles a missing
// program, which takes minutes, and removes its other versions. Concurrent builds wait for each
// other. root is the directory of this repository's module.
func Build(ctx context.Context, report *progress.Reporter, root string, program string) (path string, err error) {
	if path, err = cached(ctx, root, program); err != nil || exists(path) {
		return path, err
	}
	unlock, err := workspace.Lock(ctx, filepath.Dir(path), func(wait func() error) error {
		return report.Step("wait for another build of Prometheus", func(*progress.Step) error { return wait() })
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(path) { // another build has compiled it meanwhile
		return path, nil
	}
	err = report.Step("compile "+program, func(step *progress.Step) error { return compile(ctx, root, program, path, step) })
	if err != nil {
		return "", fmt.Errorf("build %s: %w", program, err)
	}
	return path, removeOthers(path, program)
}

// cached returns the path of a program in the cache.
func cached(ctx context.Context, root, program string) (string, error) {
	if !slices.Contains([]string{Server, Promtool}, program) {
		return "", fmt.Errorf("unknown program %q: use %s or %s", program, Server, Promtool)
	}
	key, err := Key(ctx, root)
	if err != nil {
		return "", err
	}
	cache, err := workspace.CacheDir("prometheus")
	return filepath.Join(cache, program+"-"+key), err
}

// Key returns a short hash of the pins and of how the programs are compiled.
func Key(ctx context.Context, root string) (string, error) {
	dir := pins(root)
	return gobuild.Key(ctx, dir, flags, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
}

func pins(root string) string { return filepath.Join(root, "tools", "pins", "prometheus") }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func compile(ctx context.Context, root, program, path string, step *progress.Step) error {
	return gobuild.Build(ctx, gobuild.Module{Dir: pins(root), Flags: flags}, step,
		gobuild.Program{Package: "github.com/prometheus/prometheus/cmd/" + program, Output: path})
}

// removeOthers removes all versions of a program except the one at path. Running processes keep
// theirs.
func removeOthers(path, program string) error {
	versions, err := filepath.Glob(filepath.Join(filepath.Dir(path), program+"-*"))
	if err != nil {
		return err
	}
	for _, version := range versions {
		if version == path {
			continue
		}
		if err := os.RemoveAll(version); err != nil { // a killed build leaves a directory
			return fmt.Errorf("remove an old version from the cache: %w", err)
		}
	}
	return nil
}
