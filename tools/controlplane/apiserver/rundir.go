package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/workspace"
)

// NewRunDir creates a directory for one server or test. The directory is locked until release is
// called or the process ends. NewRunDir removes unlocked directories, which killed processes have
// left behind.
func NewRunDir(ctx context.Context) (dir string, release func(), err error) {
	runs, err := workspace.CacheDir("controlplane", "runs")
	if err != nil {
		return "", nil, err
	}
	// Only one process at a time, because a new directory is not locked yet.
	unlock, err := workspace.Lock(ctx, runs, func(wait func() error) error { return wait() })
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	if err := removeLeftovers(runs); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(runs, "run-"); err != nil {
		return "", nil, err
	}
	release, err = workspace.TryLock(dir)
	return dir, release, err
}

func removeLeftovers(runs string) error {
	dirs, err := filepath.Glob(filepath.Join(runs, "run-*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		release, err := workspace.TryLock(dir)
		if errors.Is(err, workspace.ErrLocked) {
			continue // in use
		}
		if err == nil {
			err = os.RemoveAll(dir)
			release()
		}
		if err != nil {
			return fmt.Errorf("remove the directory of an earlier run: %w", err)
		}
	}
	return nil
}
