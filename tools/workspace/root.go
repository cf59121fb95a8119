// Package module finds this repository's Go module, from wherever in it a tool
// or a test was started.
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

const path = "github.com/image-webhook/image-webhook"

var errElsewhere = errors.New("not inside a checkout of image-webhook: run this in its folder")

// Root returns the folder of the module's go.mod.
func Root(ctx context.Context) (string, error) {
	file, err := subprocess.Command{Args: []string{"go", "env", "GOMOD"}}.Output(ctx)
	if err != nil {
		return "", fmt.Errorf("ask go for the module: %w", err)
	}
	if file == "" || file == os.DevNull {
		return "", errElsewhere
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the module: %w", err)
	}
	if modfile.ModulePath(content) != path {
		return "", errElsewhere
	}
	return filepath.Dir(file), nil
}
