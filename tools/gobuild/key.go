package gobuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Key returns a short hash of the inputs of a build in dir: the version of the compiler, the
// architecture, the flags and the content of files.
func Key(ctx context.Context, dir string, flags []string, files ...string) (string, error) {
	toolchain, err := subprocess.Command{Args: []string{"go", "env", "GOVERSION"}, Dir: dir}.Output(ctx)
	if err != nil {
		return "", fmt.Errorf("get the version of the Go toolchain: %w", err)
	}
	inputs := bytes.NewBufferString(toolchain + runtime.GOARCH + strings.Join(flags, " "))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read an input of the build: %w", err)
		}
		inputs.Write(content)
	}
	return Hash(inputs.Bytes()), nil
}

// Hash returns a short hash of content.
func Hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}
