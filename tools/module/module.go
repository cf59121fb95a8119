// Package module finds this repository's Go module, from wherever in it a tool
// or a test was started.
package module

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/command"
)

// Root returns the folder of the module's go.mod.
func Root(ctx context.Context) (string, error) {
	file, err := command.Command{Args: []string{"go", "env", "GOMOD"}}.Output(ctx)
	if err != nil {
		return "", fmt.Errorf("ask go for the module: %w", err)
	}
	if file == "" || file == os.DevNull {
		return "", fmt.Errorf("not inside a checkout of image-webhook: run this in its folder")
	}
	return filepath.Dir(file), nil
}
