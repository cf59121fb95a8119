package workspace

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheDir returns the directory elem in the cache directory. It creates a missing directory.
func CacheDir(elem ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w: set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(append([]string{base, "image-webhook"}, elem...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the cache directory: %w: set XDG_CACHE_HOME to a writable directory", err)
	}
	return dir, nil
}
