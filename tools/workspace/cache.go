// Package cachedir names the folders in which the tools keep what is expensive
// to make, and what they run: os.UserCacheDir()/image-webhook. Everything in it can be
// deleted while none of them runs; the next run makes it again. Locks of files and
// folders in it keep two runs out of each other's way.
package workspace

import (
	"fmt"
	"os"
	"path/filepath"
)

// Make returns the folder elem below the cache folder, and makes it if needed.
func Make(elem ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w (set HOME or XDG_CACHE_HOME)", err)
	}
	dir := filepath.Join(append([]string{base, "image-webhook"}, elem...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w (set XDG_CACHE_HOME to a folder that can be written)", err)
	}
	return dir, nil
}
