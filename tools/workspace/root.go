// Package workspace locates the checkout (Root) and the cache directory of the tools (CacheDir),
// os.UserCacheDir()/image-webhook. It does not know what the tools store there.
//
// The cache contains everything that is expensive to build, and the state of running clusters
// and control planes. Users can delete it while no tool runs. Locks on files and directories
// prevent concurrent writes.
package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const modulePath = "github.com/image-webhook/image-webhook"

var errOutside = errors.New("not in a checkout of image-webhook: run the command in the directory of a checkout")

// Root returns the top directory of the checkout that contains the working directory.
func Root(ctx context.Context) (string, error) {
	file, err := subprocess.Command{Args: []string{"go", "env", "GOMOD"}}.Output(ctx)
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	if file == "" || file == os.DevNull {
		return "", errOutside
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read go.mod: %w", err)
	}
	if modfile.ModulePath(content) != modulePath {
		return "", errOutside
	}
	return filepath.Dir(file), nil
}
