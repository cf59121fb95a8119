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

// Key is a short name for what is built in the module of folder dir with flags: a
// hash of the compiler, the architecture, the flags and the content of files.
func Key(ctx context.Context, dir string, flags []string, files ...string) (string, error) {
	toolchain, err := subprocess.Command{Args: []string{"go", "env", "GOVERSION"}, Dir: dir}.Output(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the Go toolchain for its version: %w", err)
	}
	made := bytes.NewBufferString(toolchain + runtime.GOARCH + strings.Join(flags, " "))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read what a build is named by: %w", err)
		}
		made.Write(content)
	}
	return Hash(made.Bytes()), nil
}

// Hash is a short name for content.
func Hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}
