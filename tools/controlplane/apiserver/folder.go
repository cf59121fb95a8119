package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/workspace"
)

// NewFolder makes a folder for one server or test, which is its own until free is
// called or the process ends. Folders that nobody owns any more are removed: their
// owners ended without a chance to do so.
func NewFolder(ctx context.Context) (dir string, free func(), err error) {
	runs, err := workspace.Make("controlplane", "runs")
	if err != nil {
		return "", nil, err
	}
	// One at a time: a folder that is not locked yet looks like one that is left.
	unlock, err := workspace.Lock(ctx, runs, func(wait func() error) error { return wait() })
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	if err := sweep(runs); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(runs, "run-"); err != nil {
		return "", nil, err
	}
	free, err = workspace.TryLock(dir)
	return dir, free, err
}

func sweep(runs string) error {
	left, err := filepath.Glob(filepath.Join(runs, "run-*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		free, err := workspace.TryLock(dir)
		if errors.Is(err, workspace.ErrLocked) {
			continue // somebody's
		}
		if err == nil {
			err = os.RemoveAll(dir)
			free()
		}
		if err != nil {
			return fmt.Errorf("remove what an earlier run has left: %w", err)
		}
	}
	return nil
}
