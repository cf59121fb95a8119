package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Lock locks a file or directory, and creates a missing file. If another process holds the
// lock, Lock calls onWait, which must call wait and can show the user that it waits. The kernel
// releases the lock when the process ends.
func Lock(ctx context.Context, path string, onWait func(wait func() error) error) (unlock func(), err error) {
	unlock, err = TryLock(path)
	if !errors.Is(err, ErrLocked) {
		return unlock, err
	}
	err = onWait(func() error {
		unlock, err = waitForLock(ctx, path)
		return err
	})
	return unlock, err
}

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("another process holds the lock")

// TryLock locks a file or directory, and creates a missing file. It returns ErrLocked if
// another process holds the lock.
func TryLock(path string) (unlock func(), err error) {
	file, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { file.Close() }, nil // this releases the lock
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

func openLock(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return os.Open(path)
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
}

// waitForLock locks path as soon as it is free, or returns when ctx ends.
func waitForLock(ctx context.Context, path string) (unlock func(), err error) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		unlock, err = TryLock(path)
		if !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
